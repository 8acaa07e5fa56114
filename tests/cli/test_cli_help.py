"""Help, examples, versions, and what a wrong command says."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cli.said import Cli
from licet import __version__
from licet.cli.main import app


def commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], TyperCommand]]:
    """List every command that can be run, with its path."""
    if isinstance(command, TyperGroup):
        return [found for name, one in command.commands.items() for found in commands(one, (*path, name))]
    assert isinstance(command, TyperCommand)
    return [(path, command)]


COMMANDS = commands(get_command(app))
GROUPS = [name for name, one in get_command(app).commands.items() if isinstance(one, TyperGroup)]  # type: ignore[attr-defined]
SHELLS = {
    "bash": """
        eval "$(_LICET_COMPLETE=source_bash licet)"
        COMP_WORDS=(licet override ex) COMP_CWORD=2
        _licet_completion licet
        echo "${COMPREPLY[@]}" """,
    "zsh": """
        compdef() { :; }; _describe() { :; }; _arguments() { echo "$@"; }
        eval "$(_LICET_COMPLETE=source_zsh licet)"
        words=(licet override ex) CURRENT=3
        _licet_completion licet""",
    "fish": """
        _LICET_COMPLETE=source_fish licet | source
        complete --do-complete "licet override ex" """,
}


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS])
def test_every_command_has_an_example_that_its_own_options_accept(path: tuple[str, ...], command: TyperCommand) -> None:
    example = re.search(r"Example: (.+)", command.help or "")
    assert example, f"licet {' '.join(path)} has no example"
    words = [word for word in shlex.split(example[1].partition(" > ")[0]) if not word.startswith("LICET_")]
    assert words[: len(path) + 1] == ["licet", *path]
    given = typer.Context(command, info_name=path[-1])
    command.parse_args(given, words[len(path) + 1 :])  # refuses an option or an argument that is not there
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{parameter.name} of licet {' '.join(path)} is not explained"


def test_every_command_that_ends_can_print_json() -> None:
    lines = {("export",), ("audit", "export")}  # write lines of JSON, or CSV, as it is
    without = {path for path, one in COMMANDS if not any("--json" in (param.opts) for param in one.params)}
    assert without - lines == {("up",), ("web",), ("worker",)}


@pytest.mark.parametrize("path", [*(path for path, _ in COMMANDS), *((name,) for name in GROUPS), ()], ids=" ".join)
def test_help_is_printed_for_every_command(cli: Cli, path: tuple[str, ...]) -> None:
    for flag in ("-h", "--help"):
        said = cli(*path, flag)
        assert said.code == 0
        assert "Example: licet" in " ".join(said.out.split()) or "Example: LICET_" in " ".join(said.out.split())


def test_the_exit_codes_and_completion_are_in_the_first_help(cli: Cli) -> None:
    said = " ".join(cli("--help").out.split())
    assert (
        "Exit codes: 0 done; 1 it failed, or found something wrong; 2 the command or the configuration is wrong" in said
    )
    assert "licet --install-completion" in said
    assert said.index(" up ") < said.index(" doctor ") < said.index(" explain ") < said.index(" keys "), (
        "as they are used"
    )


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_read_the_script_completes(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    said = subprocess.run([shell, "-c", SHELLS[shell]], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert re.search(r"\bextend\b", said.stdout), said


def test_the_version_is_the_packages(cli: Cli) -> None:
    said = cli("version")
    assert (said.code, said.out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("args", [("nonsense",), ("keys", "make"), ("up", "--prot", "1"), ("keys", "create", "a"), ()])
def test_a_wrong_command_ends_with_two_and_says_where_help_is(cli: Cli, args: tuple[str, ...]) -> None:
    said = cli(*args)
    assert said.code == 2
    assert "licet" in said.err + said.out
    assert "-h" in said.err + said.out
