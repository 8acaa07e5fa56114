"""``licet brake``: what the safety brake holds, and what a person does about it."""

from typing import Annotated

import typer

from licet.bootstrap.desks import brake_desk, brake_reader
from licet.cli.settings import Reason, Yes, at, confirm, operator, store_settings
from licet.cli.table import Json, progress, say, show_json, show_table
from licet.consume.brake import Wish

app = typer.Typer(
    help="Show what the safety brake holds, release it, hold more.\n\nExample: licet brake status", no_args_is_help=True
)


@app.command()
def status(
    ended: Annotated[bool, typer.Option("--ended", help="List what ended before any was held, not the holds.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many licenses to list.")] = 50,
    after: Annotated[str, typer.Option(help="Go on where a list before this one ended.")] = "",
    as_json: Json = False,
) -> None:
    """Show the threshold, what ended within the window, and what is held.

    Example: licet brake status --ended
    """
    view = at(brake_reader, lambda reader: reader.show(ended, after, limit))
    if as_json:
        show_json(view)
        return
    most = f"beyond {view.limit} ends within {view.window_s} s" if view.limit is not None else "never"
    typer.echo(f"the safety brake holds {most}" if view.on else "the safety brake is off")
    typer.echo(f"{view.ends} licenses ended within the window, {view.active} give access now")
    by_sku = "".join(f"; {sku}: {count}" for sku, count in view.held.items())
    typer.echo(f"{sum(view.held.values())} are held{by_sku}")
    rows = [(one.customer, one.sku, one.name, one.ended_at, one.until) for one in view.items]
    show_table(("Customer", "SKU", "Name", "Ended", "Held until"), rows)
    if view.next:
        typer.echo(f'there is more: --after "{view.next}"', err=True)


@app.command()
def release(
    reason: Reason,
    customer: Annotated[str | None, typer.Option(help="Only this customer's (its id).")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A customer (its id) whose holds become overrides.")] = None,
    yes: Yes = False,
    _json: Json = False,
) -> None:
    """End the holds, so that the ends take effect. What is kept is yours, and ends when the hold would have ended.

    Example: licet brake release --keep acme-1 --reason "the load of 24 November was meant" --yes
    """
    whose = f"the holds of {customer}" if customer is not None else "all holds"
    confirm(f"end {whose}? access goes with them (`licet brake status` lists it)", yes=yes, needed=True)
    _act(Wish(customer=customer, keep=keep or (), reason=reason, by=operator()), "released")


@app.command()
def restore(reason: Reason, yes: Yes = False, _json: Json = False) -> None:
    """Hold what ended before the threshold too: give access back to all that the load ended.

    Example: licet brake restore --reason "the load of 24 November was wrong" --yes
    """
    confirm("hold all that ended before? (`licet brake status --ended` lists it)", yes=yes, needed=True)
    _act(Wish(restore=True, reason=reason, by=operator()), "restored")


def _act(wish: Wish, done: str) -> None:
    licenses = revision = 0
    with progress("licenses") as moves:
        for count, at in brake_desk(store_settings()).steps(wish):
            licenses, revision = licenses + count, at
            moves(completed=licenses)
    say(f"{licenses} licenses are {done}", licenses=licenses, revision=revision)
