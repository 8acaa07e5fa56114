"""The commands in this process: what they print, and the exit code that a shell would see."""

import sys

import pytest

from cli.said import Cli, Said
from licet.cli.main import main


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``licet`` with arguments; environment variables come as keywords, without their prefix LICET_."""

    def run(*args: str, **settings: str) -> Said:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["licet", *args])
            for name, value in settings.items():
                patch.setenv(f"LICET_{name.upper()}", value)
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 1 if code else 0, printed.out, printed.err)

    return run


@pytest.fixture
def stored(cli: Cli, database: str) -> Cli:
    """Run ``licet`` on a migrated database of this test alone."""

    def run(*args: str, **settings: str) -> Said:
        return cli(*args, **{"database_url": database, **settings})

    return run
