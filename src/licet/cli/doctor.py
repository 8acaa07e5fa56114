"""``licet doctor``: a check-up, told."""

import typer
from rich.console import Console

from licet.bootstrap.doctor import State, examine
from licet.cli.table import show_json
from licet.settings import Settings

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.BAD: "red"}


def run_doctor(settings: Settings, *, as_json: bool) -> None:
    """Print each finding as it comes; ends with 1 where one is bad."""
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
