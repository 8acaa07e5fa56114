"""A terminal for tests: what runs in it sees a person's screen and gets Ctrl-C as a terminal sends it."""

import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from typing import Self

# The command runs as the leader of its session and takes the terminal on its standard input for its own.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[()][A-Z0-9])")


class Terminal:
    """Runs one command in a terminal of 24 lines and 80 columns, as most are at first."""

    def __init__(self, command: Sequence[str], folder: pathlib.Path, env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        shell = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, *command],
            env={**shell, "TERM": "xterm-256color", **env},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.screen = ""

    @property
    def text(self) -> str:
        """What was written so far, without colours and cursor moves."""
        return _ESCAPES.sub("", self.screen).replace("\r\n", "\n")

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Read until something is written."""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.text)) is None:
            if not self._read(0.2) or time.monotonic() > end:
                raise AssertionError(f"the terminal does not show {pattern!r}:\n{self.text}")
        return found

    def enter(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def press_ctrl_c(self) -> None:
        os.write(self._master, b"\x03")

    def ended(self, seconds: float) -> int:
        """Read to the end; returns the exit code."""
        end = time.monotonic() + seconds
        while self._process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"it still runs after {seconds:g} s:\n{self.text}")
            self._read(0.05)
        while self._read(0):
            pass
        return self._process.returncode

    def _read(self, seconds: float) -> bool:
        """Read what is there; False where nothing more will come."""
        if not select.select([self._master], [], [], seconds)[0]:
            return seconds > 0
        try:
            self.screen += os.read(self._master, 65536).decode("utf-8", "replace")
        except OSError:  # Linux says EIO once nobody holds the other end
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(12.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(12.0)
        os.close(self._master)
