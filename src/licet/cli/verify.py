"""``licet verify`` and ``licet prune``: what they show."""

import typer

from licet.bootstrap.desks import prune_store, verify_store
from licet.bootstrap.store import check_store
from licet.cli.settings import operator
from licet.cli.table import progress_bar, say, show_json
from licet.settings import Settings

INCOMPLETE = 3


def run_verify(settings: Settings, *, as_json: bool) -> None:
    """Verify the store, print the report, and end with its exit code."""
    check_store(settings)
    with progress_bar() as progress:
        task = progress.add_task("deliveries", total=None)
        report = verify_store(
            settings,
            lambda total: progress.update(task, total=total),
            lambda folded: progress.advance(task, folded),
        )
    if as_json:
        show_json(vars(report))
    else:
        for fault in report.faults:
            typer.echo(f"fault: {fault}")
        if report.fault_count > len(report.faults):
            typer.echo(f"fault: and {report.fault_count - len(report.faults)} more")
        for what, count in report.unchecked.items():
            typer.echo(f"not looked at ({count}): {what}")
        looked = f"{report.partitions} partitions, {report.deliveries} deliveries, {report.customers} customers"
        typer.echo(f"{looked}: {report.fault_count or 'no'} faults")
    raise typer.Exit(1 if report.fault_count else INCOMPLETE if report.unchecked else 0)


def run_prune(settings: Settings) -> None:
    """Empty what is kept no longer, and say how much it was."""
    check_store(settings)
    emptied = 0
    with progress_bar() as progress:
        task = progress.add_task("deliveries", total=None)
        for done, total, count in prune_store(settings, operator()):
            emptied += count
            progress.update(task, completed=done, total=total)
    say(f"{emptied} payloads emptied", emptied=emptied)
