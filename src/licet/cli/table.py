"""What commands print: a table or a sentence for a person, with ``--json`` the same as JSON."""

import contextlib
import datetime as dt
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

_PROSE = 30  # what is longer and has spaces may be wrapped, to no less than this
_BETWEEN = 2  # spaces between two columns


class _Form:
    json = False


def _choose(context: typer.Context, as_json: bool) -> bool:
    """Keep the choice for as long as the command runs: the next one in this process may not ask for it."""
    _Form.json = as_json
    context.call_on_close(_forget)
    return as_json


def _forget() -> None:
    _Form.json = False


# For a parameter that the command itself does not read: what prints does.
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", callback=_choose)]


def show_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows; anything but a terminal gets lines of tab-separated values without headings.

    A terminal gets a table, in which only sentences are wrapped, or a block for each row where that is too wide.
    As JSON: an array of objects, whose names are the headings, ``Last used`` as ``last_used``.
    """
    if _Form.json:
        names = [heading.lower().replace(" ", "_") for heading in headings]
        show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    console = Console(highlight=False)
    cells = [[_cell(value) for value in row] for row in rows]
    if not console.is_terminal:
        for line in cells:
            print("\t".join(line))  # noqa: T201 the command's output
        return
    columns, need = [], 0
    for heading, values in zip(headings, list(zip(*cells, strict=True)) or [()] * len(headings), strict=True):
        wide = max(map(cell_len, (heading, *values)))
        wraps = wide > _PROSE and any(" " in value for value in values)
        columns.append(Column(heading, overflow="fold", no_wrap=not wraps, min_width=_PROSE if wraps else None))
        need += _BETWEEN + (_PROSE if wraps else wide)
    if need > console.width:
        _show_records(console, headings, cells)
        return
    table = Table(*columns, box=None)
    for line in cells:
        table.add_row(*map(Text, line))
    console.print(table)


def _show_records(console: Console, headings: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print rows one below the other, a line for each value that is there: no id is broken to fit a column."""
    for line in cells:
        record = Table(box=None, show_header=False)
        record.add_column(style="bold", no_wrap=True)
        record.add_column(overflow="fold")
        for heading, cell in zip(headings, line, strict=True):
            if cell:
                record.add_row(heading, Text(cell))
        console.print(record)
        console.print()


def say(sentence: str, **facts: Any) -> None:
    """Print what was done; as JSON: the facts."""
    if _Form.json:
        show_json(facts)
    else:
        typer.echo(sentence)


def say_each(said: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Print several things that were done, a sentence each; as JSON: an array of their facts."""
    if _Form.json:
        show_json([facts for _, facts in said])
    else:
        for sentence, _ in said:
            typer.echo(sentence)


def show_json(what: object) -> None:
    """Print JSON for people and programs."""
    typer.echo(msgspec.json.format(msgspec.json.encode(what), indent=2).decode())


@contextlib.contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[Callable[..., None]]:
    """Show a bar on stderr until the block ends; yields what moves it: ``completed``, ``advance`` and ``total``.

    Rows that are printed meanwhile do not land in its stream.
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False, disable=not shown) as bar:
        yield functools.partial(bar.update, bar.add_task(what, total=None))


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case dt.datetime():
            return value.isoformat(" ", "seconds")
        case list():
            return " ".join(map(str, value))
        case _:
            return str(value)
