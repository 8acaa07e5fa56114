"""``licet doctor``: a check-up."""

import contextlib

import typer
from rich.console import Console
from rich.text import Text

from licet.bootstrap.doctor import Finding, State, examine
from licet.cli.settings import read_settings
from licet.cli.table import Json, show_json

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.BAD: "red"}


def doctor(as_json: Json = False) -> None:
    """Look at settings, database, clock, schema, catalog, keys, door, queue and workers, and say what to do about each.

    Exit codes: 0 nothing is bad; 1 something is; 2 the settings cannot be read.

    Example: licet doctor
    """
    settings = read_settings()
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    with contextlib.nullcontext() if as_json else console.status("looking"):
        for finding in examine(settings):
            findings.append(finding)
            if not as_json:
                console.print(_line(finding))
    if as_json:
        show_json(findings)
    raise typer.Exit(any(finding.state is State.BAD for finding in findings))


def _line(finding: Finding) -> Text:
    line = Text.assemble((f"{finding.state:<4}", _COLOURS[finding.state]), f"  {finding.what:<12}  {finding.found}")
    if finding.todo is not None:
        line.append(f"\n{'':20}→ {finding.todo}")
    return line
