"""``licet doctor``: a check-up."""

import typer
from rich.console import Console

from licet.bootstrap.doctor import State, examine
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
    for finding in examine(settings):
        findings.append(finding)
        if not as_json:
            mark = f"[{_COLOURS[finding.state]}]{finding.state:<4}[/]"
            console.print(f"{mark}  {finding.what:<12}  ", end="")
            console.print(finding.found, markup=False)
            if finding.todo is not None:
                console.print(f"{'':20}→ {finding.todo}", markup=False)
    if as_json:
        show_json(findings)
    raise typer.Exit(any(finding.state is State.BAD for finding in findings))
