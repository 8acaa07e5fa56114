"""``licet partition``: the partitions that stopped, and what to do with them."""

from typing import Annotated

import typer

from licet.bootstrap.desks import partition_desk
from licet.cli.settings import operator, store_settings
from licet.cli.table import Json, say_each, show_table

app = typer.Typer(
    help="Show stopped partitions, and let them go on.\n\nExample: licet partition show", no_args_is_help=True
)
Partition = Annotated[int | None, typer.Argument(help="The partition's number.")]
All = Annotated[bool, typer.Option("--all", help="All stopped partitions.")]


@app.command()
def show(_json: Json = False) -> None:
    """List the stopped partitions, and why each stopped. Exit code 1 where there are any.

    Example: licet partition show
    """
    stops = partition_desk(store_settings()).stops()
    rows = [[stop.partition, stop.reason, stop.next_offset, stop.stopped_at, stop.detail, stop.log] for stop in stops]
    show_table(("Partition", "Reason", "Next offset", "Since", "What was found", "Log"), rows)
    if stops:
        raise typer.Exit(1)
    typer.echo("no partition is stopped", err=True)


@app.command()
def resume(partition: Partition = None, every: All = False, _json: Json = False) -> None:
    """Try again where the partition stands; what stopped it stops it again, unless it was put right.

    Example: licet partition resume 3
    """
    said = []
    for stop in partition_desk(store_settings()).resume(_which(partition, every=every), operator()):
        facts = {"log": stop.log, "partition": stop.partition, "offset": stop.next_offset}
        said.append((f"partition {stop.partition} tries again", facts))
    say_each(said)


@app.command()
def accept(
    partition: Partition = None,
    every: All = False,
    offset: Annotated[int | None, typer.Option(min=0, help="Where to go on. Unset: the log's present start.")] = None,
    _json: Json = False,
) -> None:
    """Go on at an offset that the log has; what lies between is not applied. Kept with your name.

    Example: licet partition accept 3
    """
    said = []
    for stop, at in partition_desk(store_settings()).accept(_which(partition, every=every), offset, operator()):
        before = "no offset" if stop.next_offset is None else str(stop.next_offset)
        goes_on = f"goes on at {at}" if at is not None else f"is done with: {stop.log} is no more"
        facts = {"log": stop.log, "partition": stop.partition, "offset": at, "stood_at": stop.next_offset}
        said.append((f"partition {stop.partition} {goes_on}; it stood at {before}", facts))
    say_each(said)


def _which(partition: int | None, *, every: bool) -> int | None:
    if (partition is None) != every:
        raise typer.BadParameter("name one partition, or --all")
    return partition
