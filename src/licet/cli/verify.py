"""``licet verify`` and ``licet prune``."""

import typer

from licet.bootstrap.desks import prune_store, verify_store
from licet.cli.settings import operator, store_settings
from licet.cli.table import Json, progress, say, show_json

INCOMPLETE = 3


def verify(as_json: Json = False) -> None:
    """Hold the log against the ledger, and the ledger, folded again, against the store.

    Exit codes: 0 all is well; 1 faults were found; 3 none was found, but not all could be looked at.

    Example: licet verify --json
    """
    settings = store_settings()
    with progress("deliveries") as moves:
        report = verify_store(settings, lambda total: moves(total=total), lambda folded: moves(advance=folded))
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


def prune(_json: Json = False) -> None:
    """Empty the bytes of deliveries older than LICET_PAYLOAD_DAYS. Their rows, hashes and outcomes stay.

    Example: LICET_PAYLOAD_DAYS=90 licet prune
    """
    settings, emptied = store_settings(), 0
    with progress("deliveries") as moves:
        for done, total, count in prune_store(settings, operator()):
            emptied += count
            moves(completed=done, total=total)
    say(f"{emptied} payloads emptied", emptied=emptied)
