"""The tutorial is run as it stands: its commands in their order and terminals, its outputs compared.

What is replaced: where it clones from (this tree), the ports (by the variables that it names itself), and what pip
would download: the clone gets this environment, and the shop's own environment sees its packages.
"""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator

import pytest

from support.processes import PATIENCE_S, commands_with, eventually, free_port

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial.md"
NOT_CLONED = shutil.ignore_patterns(
    ".git", ".venv", ".data", ".*_cache", "__pycache__", "site", ".hypothesis", ".coverage*"
)
_FENCE = re.compile(r'^```(\w+) title="(terminal \d)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_WRITES = re.compile(r" -d | -X |<<|install|clone")
# Of make's rules only the one that would install is passed over.
MAKE = """#!/bin/sh
ln -sfn "{venv}" .venv
exec "{make}" -o .venv/.runtime "$@"
"""
PYTHON = """#!/bin/sh
"{python}" "$@" || exit
[ "$2" != venv ] || echo "{packages}" > "$(echo "$3"/lib/python3*/site-packages)/seen.pth"
"""


class Terminal:
    """A shell that is fed block by block. A block that ends leaves a mark, one that failed on the way another."""

    def __init__(self, folder: pathlib.Path, name: str, env: dict[str, str]) -> None:
        self._log = folder / f"{name}.log"
        self._begun = 0
        self._blocks = 0
        self.block = ""
        with self._log.open("wb") as log:
            self._shell = subprocess.Popen(
                ["bash"], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        self._write("trap 'echo \"<<failed: $BASH_COMMAND>>\"' ERR\n")

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def run(self, block: str) -> None:
        """Begin a block; what it prints is compared later."""
        self.block = block
        self._begun = len(self._log.read_bytes())
        self._blocks += 1
        self._write(f"{block}\necho '<<end {self._blocks}>>'\n")

    def ended(self) -> bool | None:
        """Tell whether the block is through; fails where it could not."""
        assert self._shell.poll() is None, self.said
        return f"<<end {self._blocks}>>" in self.said or None

    @property
    def said(self) -> str:
        """What the block printed so far."""
        return self._log.read_bytes()[self._begun :].decode()

    def close(self) -> None:
        """Press Ctrl-C, which reaches all that it runs, and leave."""
        os.killpg(self._shell.pid, signal.SIGINT)
        if self._shell.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._shell.stdin.close()
        self._shell.wait(20)


def shows(terminal: Terminal, expected: str) -> bool | None:
    """Compare: a block that ended printed just this, one that goes on these lines among others.

    One that only asks is asked again until it does: whoever types leaves the application the time to start again.
    """
    lines = ["[^\n]*".join(map(re.escape, line.split("…"))) for line in expected.splitlines()]
    if not terminal.ended():
        printed = iter(terminal.said.splitlines())
        return all(any(re.search(line, one) for one in printed) for line in lines) or None
    said = terminal.said.partition("<<end ")[0].strip()
    if re.fullmatch("\n".join(lines), said):
        return True
    assert not _WRITES.search(terminal.block), f"found\n{said}\nexpected\n{expected}"
    terminal.run(terminal.block)
    eventually("it answers", terminal.ended)
    return None


@pytest.fixture
def env(tmp_path: pathlib.Path) -> dict[str, str]:
    """A shell's environment in which `git clone`, `make up` and `python3 -m venv` do what they do without downloads."""
    origin, tools = tmp_path / "origin", tmp_path / "tools"
    shutil.copytree(ROOT, origin, ignore=NOT_CLONED)
    git = ["git", "-C", str(origin), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for step in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "This tree"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    tools.mkdir()
    names = {"venv": sys.prefix, "make": shutil.which("make"), "python": sys.executable}
    for name, text in (("make", MAKE), ("python3", PYTHON)):
        (tools / name).write_text(text.format(**names, packages=sysconfig.get_path("purelib")))
        (tools / name).chmod(0o755)
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "REPOSITORY": str(origin),
        "LICET_PORT": str(free_port()),
        "SHOP_PORT": str(free_port()),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def terminals(tmp_path: pathlib.Path, env: dict[str, str]) -> Iterator[dict[str, Terminal]]:
    folder = tmp_path / "work"
    folder.mkdir()
    opened = {name: Terminal(folder, name, env) for name in sorted({name for _, name, _ in blocks()})}
    try:
        yield opened
    finally:
        for terminal in opened.values():
            terminal.close()
    eventually("nothing of it runs on", lambda: None if commands_with(str(folder)) else True)


def blocks() -> list[tuple[str, str, str]]:
    """Return (sh or text, terminal, what it holds) of each block, in order."""
    return _FENCE.findall(PAGE.read_text())


@pytest.mark.skipif(
    not all(map(shutil.which, ("git", "make", "curl", "bash"))), reason="the tutorial asks for git, make, curl and bash"
)
def test_the_tutorial_does_what_it_says(terminals: dict[str, Terminal], env: dict[str, str]) -> None:
    assert len(blocks()) == PAGE.read_text().count("\n```") / 2, "each block says its terminal"
    ended_at = 0.0
    for kind, name, text in blocks():
        terminal = terminals[name]
        if kind == "sh":
            if terminal.block:
                eventually(f"{terminal.block} ends", terminal.ended)
                assert "<<failed" not in terminal.said, terminal.said
            terminal.run(text)
            ended_at = time.monotonic() if '"SKU1":false' in text else ended_at
            continue
        expected = text.replace(":8000", f":{env['LICET_PORT']}").replace(":8080", f":{env['SHOP_PORT']}")
        try:
            eventually("it shows what the page says", lambda: shows(terminal, expected), PATIENCE_S)  # noqa: B023
        except AssertionError as error:
            raise AssertionError(f"{terminal.block}\nfound\n{terminal.said}\nexpected\n{expected}") from error
        if '"revoked"' in text:
            took = time.monotonic() - ended_at
            print(f"the view refused {took:.2f} s after the post")
            assert took < 5, "within a second, on a machine that does nothing else"
