"""``licet brake``: what the safety brake holds, and what a person does about it."""

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from licet.answer.brake import BrakeView, Which, show_brake
from licet.bootstrap.desks import brake_desk, brake_reader
from licet.cli.settings import confirm, operator, store_settings
from licet.cli.table import show_table
from licet.consume.brake import Wish
from licet.settings import Settings

app = typer.Typer(help="Show what the safety brake holds, release it, hold more.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def status(
    which: Annotated[Which, typer.Option(help="List what is held, or what ended before any was.")] = Which.HELD,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many licenses to list.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list before this one ended.")] = None,
    as_json: Json = False,
) -> None:
    """Show the threshold, what ended within the window, and what is held.

    Example: licet brake status --which ended
    """
    view = asyncio.run(_show(store_settings(), which, cursor, limit))
    if as_json:
        typer.echo(msgspec.json.encode(view))
        return
    now = view.status
    limits = f"holds beyond {now.limit} ends within {now.window_s} s" if now.limit is not None else "has no threshold"
    typer.echo(f"the safety brake {limits if now.on else 'is off'}")
    typer.echo(f"{now.ends} licenses ended within the window, {now.active} give access now")
    by_sku = ", ".join(f"{sku} {count}" for sku, count in now.held.items())
    typer.echo(f"{sum(now.held.values())} are held" + (f": {by_sku}" if by_sku else ""))
    rows = [
        [one.customer, one.sku, one.name or ""]
        + [at.isoformat(" ", "minutes") if at is not None else "" for at in (one.ended_at, one.until)]
        for one in view.items
    ]
    show_table(("Customer", "SKU", "Name", "Ended", "Held until"), rows)
    if view.next:
        typer.echo(f"there is more: --cursor {view.next}", err=True)


@app.command()
def release(
    reason: Reason,
    customer: Annotated[str | None, typer.Option(help="Only this customer's (its id).")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Make overrides of this customer's; may stand twice.")] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """End the holds, so that the ends take effect. Interrupted, run it again.

    What is kept by `--keep` is yours from then on, and ends when the hold would have ended.

    Example: licet brake release --keep acme-1 --reason "the load of 24 November was meant" --yes
    """
    whose = f"the holds of {customer}" if customer is not None else "all holds"
    confirm(f"end {whose}? access goes with them (`licet brake status` lists it)", yes=yes, needed=True)
    _act(Wish(customer=customer, keep=keep or (), reason=reason, by=operator()), "released", as_json=as_json)


@app.command()
def restore(reason: Reason, yes: Yes = False, as_json: Json = False) -> None:
    """Hold what ended before the threshold too: give access back to all that the load ended.

    Example: licet brake restore --reason "the load of 24 November was wrong" --yes
    """
    question = "hold all that ended before? (`licet brake status --which ended` lists it)"
    confirm(question, yes=yes, needed=True)
    _act(Wish(restore=True, reason=reason, by=operator()), "restored", as_json=as_json)


def _act(wish: Wish, done: str, *, as_json: bool) -> None:
    licenses, revision = 0, None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("licenses", total=None)
        for step in brake_desk(store_settings()).steps(wish):
            licenses, revision = licenses + step.licenses, step.revision
            progress.update(task, completed=licenses)
    if as_json:
        typer.echo(msgspec.json.encode({"licenses": licenses, "revision": revision}))
    else:
        typer.echo(f"{licenses} licenses are {done}" + (f" (revision {revision})" if revision is not None else ""))


async def _show(settings: Settings, which: Which, cursor: str | None, limit: int) -> BrakeView:
    async with brake_reader(settings) as reader:
        return await show_brake(reader, which, cursor, limit)
