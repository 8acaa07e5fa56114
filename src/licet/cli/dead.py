"""``licet dead``: what could not be applied."""

import asyncio
import uuid
from typing import Annotated

import typer

from licet.answer.letters import list_letters
from licet.bootstrap.desks import Letters, letter_desk
from licet.bootstrap.queue import check_queue
from licet.cli.settings import Reason, at, operator, store_settings
from licet.cli.table import Json, progress, say, show_json, show_table
from licet.domain.errors import LicetError
from licet.store.values import LetterLine, LetterState

app = typer.Typer(help="List, show, replay and drop dead letters.\n\nExample: licet dead list", no_args_is_help=True)
Number = Annotated[int, typer.Argument(min=1, help="The letter's number, as `licet dead list` shows it.")]
_PAGE = 200


@app.command("list")
def list_(
    state: Annotated[LetterState | None, typer.Option(help="Only letters in this state.")] = LetterState.OPEN,
    reason: Annotated[str | None, typer.Option(help="Only this reason.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Letters in any state.")] = False,
    _json: Json = False,
) -> None:
    """List dead letters, the one kept last first.

    Example: licet dead list --reason unreadable
    """
    with progress("dead letters"):
        found = at(letter_desk, lambda lent: _all(lent, None if every else state, reason))
    rows = []
    for one in found:
        origin = f"{one.log}/{one.partition}/{one.offset}" if one.log else one.origin
        said = [one.letter, one.state, one.reason, one.attempts, one.recorded_at]
        rows.append([*said, one.customer, one.event_id, origin])
    show_table(("Letter", "State", "Reason", "Attempts", "Kept", "Customer", "Event", "Origin"), rows)


@app.command()
def show(letter: Number, _json: Json = True) -> None:
    """Print a letter with its bytes, its faults and its fate, as JSON.

    Example: licet dead show 12
    """
    show_json(at(letter_desk, lambda lent: lent.desk.get(letter)))


@app.command()
def replay(
    letter: Annotated[int | None, typer.Argument(min=1, help="The letter's number.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All open letters.")] = False,
    reason: Annotated[str | None, typer.Option(help="All open letters of this reason.")] = None,
    run: Annotated[str | None, typer.Option(help="Go on with a run that was interrupted.")] = None,
    _json: Json = False,
) -> None:
    """Append letters to the queue again; each is judged at its original place.

    Example: licet dead replay --reason unreadable
    """
    if (letter is None) != (every or reason is not None):
        raise typer.BadParameter("name one letter, or --all, or --reason")
    settings = store_settings()
    check_queue(settings)
    if letter is not None:
        replayed = at(letter_desk, lambda lent: lent.desk.replay(letter, operator()), settings)
        said = f"dead letter {letter} is at {replayed.partition}/{replayed.offset} of the queue again"
        say(said, letter=letter, partition=replayed.partition, offset=replayed.offset)
        return
    try:
        identity = uuid.UUID(run) if run else uuid.uuid4()
    except ValueError as error:
        raise typer.BadParameter("--run takes what an interrupted replay printed") from error
    at(letter_desk, lambda lent: _replay_all(lent, identity, reason), settings)


@app.command()
def drop(letter: Number, reason: Reason, _json: Json = False) -> None:
    """Close a letter without a replay.

    Example: licet dead drop 12 --reason "a test of the sandbox"
    """
    at(letter_desk, lambda lent: lent.desk.drop(letter, reason, operator()))
    say(f"dead letter {letter} is dropped", letter=letter, reason=reason)


async def _all(lent: Letters, state: LetterState | None, reason: str | None) -> list[LetterLine]:
    found: list[LetterLine] = []
    cursor = None
    while True:
        page = await list_letters(lent.store, state, reason, cursor, _PAGE)
        found += page.items
        if (cursor := page.next) is None:
            return found


async def _replay_all(lent: Letters, run: uuid.UUID, reason: str | None) -> None:
    taken = barred = 0
    total = await lent.store.count_open(run, reason)
    with progress("dead letters") as moves:
        moves(total=total)
        try:
            async for more, cannot in lent.desk.replay_all(run, reason, operator()):
                taken, barred = taken + more, barred + cannot
                moves(completed=taken + barred)
        except (LicetError, asyncio.CancelledError):
            typer.echo(f"{taken} of {total} replayed; go on with --run {run}", err=True)
            raise
    say(f"{taken} replayed, {barred} cannot be replayed (run {run})", replayed=taken, barred=barred, run=run)
