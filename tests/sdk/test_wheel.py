"""The wheel is whole: built, installed beside its dependencies alone, and asked."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

SDK = Path(__file__).parents[2] / "sdk"
DEPENDENCIES = ("anyio", "certifi", "h11", "httpcore", "httpx", "idna", "msgspec", "typing_extensions")
ASK = """
import importlib.metadata, importlib.resources, sys
from licet_sdk import AsyncLicet, Decision, Licet
from licet_sdk.testing import FakeLicet
licet = FakeLicet()
licet.grant("mail", customer="tenant:1")
assert licet.allowed("mail", customer="tenant:1") and not licet.allowed("mail", customer="tenant:2")
assert importlib.resources.files("licet_sdk").joinpath("py.typed").is_file()
assert "licet" not in {name.partition(".")[0] for name in sys.modules}
with Licet(url="http://127.0.0.1:9", key="k", defaults={"mail": True}) as licet:
    print(licet.check("mail", customer="x").reason, importlib.metadata.version("licet-sdk"))
"""


def test_the_wheel_works_in_an_environment_with_nothing_else(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    subprocess.run(build, cwd=SDK, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("licet_sdk-*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    if not python.exists():
        pytest.skip("needs an environment with bin/python")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    # Its dependencies come from this environment: a test must not need a registry.
    have = Path(pytest.__file__).parents[1]
    for name in DEPENDENCIES:
        for part in have.glob(f"{name}*"):
            if part.stem.partition("-")[0].partition(".")[0] == name:
                (site / part.name).symlink_to(part)
    install = (sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(wheel))
    subprocess.run(install, check=True, capture_output=True)
    told = subprocess.run([python, "-I", "-W", "error", "-c", ASK], check=True, capture_output=True, text=True).stdout
    assert told.split() == ["default", "0.1.0"]
    check = (sys.executable, "-m", "pip", "--python", str(python), "check")
    assert "No broken requirements" in subprocess.run(check, check=True, capture_output=True, text=True).stdout
