"""Both wheels, built and installed into empty environments: what a user's ``pip install`` brings must work alone."""

import pathlib
import subprocess
import sys
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def ran(*command: str | pathlib.Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def installed(folder: pathlib.Path, source: pathlib.Path, requirements: pathlib.Path | None = None) -> pathlib.Path:
    """Build the wheel of a folder and install it into an environment of its own; returns that one's ``bin``."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    ran(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder / "wheels", source)
    (wheel,) = (folder / "wheels").iterdir()
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    into = (*pip, "--python", folder / "venv", "install", "-q")
    if requirements is not None:
        ran(*into, "--no-deps", "--require-hashes", "-r", requirements)
    ran(*into, "--no-deps" if requirements is not None else "--no-input", wheel)
    return folder / "venv" / "bin"


def test_the_sdk_comes_alone_with_its_types(tmp_path: pathlib.Path) -> None:
    bin_ = installed(tmp_path, ROOT / "sdk")
    said = ran(
        bin_ / "python",
        "-c",
        "import licet_sdk, pathlib, sys; from licet_sdk import Licet; from licet_sdk.testing import FakeLicet;"
        "print(pathlib.Path(licet_sdk.__file__).with_name('py.typed').is_file(), 'licet' in sys.modules)",
    )
    assert said.split() == ["True", "False"]


@pytest.mark.parametrize("command", [("version",), ("--help",), ("settings",)])
def test_the_service_brings_its_command(service: pathlib.Path, command: tuple[str, ...]) -> None:
    assert ran(service / "licet", *command)


def test_the_service_brings_what_it_reads_at_run_time(service: pathlib.Path) -> None:
    said = ran(
        service / "python",
        "-c",
        "from licet.store.migrate import default_catalog, migrations; from licet.database import named_queries;"
        "print(len(migrations()), len(default_catalog()), len(named_queries('licet.store', 'sql/feed.sql')))",
    )
    assert all(int(one) > 0 for one in said.split())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return installed(tmp_path_factory.mktemp("service"), ROOT, ROOT / "requirements.txt")
