"""``licet export`` and ``licet reconcile``."""

import contextlib
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from licet.bootstrap.desks import drift_desk
from licet.cli.settings import operator, store_settings
from licet.cli.table import show_table
from licet.domain.drift import Drift
from licet.domain.errors import ConfigurationError
from licet.store.values import Reconciliation

_HEADINGS = ("kind", "customer", "line", "field", "found", "expected")
_STEP = 500  # rows between two movements of the bar


def export(
    file: Annotated[Path, typer.Argument(help="FILE.csv, FILE.jsonl, or - for stdout.", show_default=False)],
    as_csv: Annotated[bool | None, typer.Option("--csv/--jsonl", help="The format.", show_default="FILE's")] = None,
) -> None:
    """Write every customer with its mapped fields: what `reconcile` reads. The last row counts the others.

    Example: licet export customers.csv
    """
    form = as_csv if as_csv is not None else file.suffix != ".jsonl"
    desk = drift_desk(store_settings())
    with _opened(file) as out, _bar() as bar:
        count = desk.export(out, as_csv=form, begins=lambda whole: bar.begins("customers", whole), told=bar.told)
    typer.echo(f"{count} customers", err=True)


def reconcile(
    file: Annotated[Path, typer.Argument(help="A full export, .csv or .jsonl.", show_default=False)],
    rows: Annotated[int | None, typer.Option(min=0, help="How many rows the file must have.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each, then the totals.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many the table lists; 0: all.")] = 100,
) -> None:
    """Compare the store with a full export of Salesforce, customer by customer, and keep what it came to.

    Missing customers are in the export alone, extra ones in the store alone. Of different ones, `found` is what the
    store has and `expected` what the export says; columns that the export lacks are not compared. An unknown SKU is a
    column named as SKUs are (`SKU…`, or as a flag of the catalog begins) that holds true and is not in the catalog.

    Exit codes: 0 no drift; 1 drift; 2 the file cannot be read as a whole, and nothing was compared.

    Example: licet reconcile accounts.csv --rows 18211
    """
    if as_json and as_csv:
        raise ConfigurationError("found --json and --csv, expected one of them")
    listing = _Listing("json" if as_json else "csv" if as_csv else "table", limit)
    desk = drift_desk(store_settings())
    with _bar() as bar:
        kept = desk.reconcile(file, operator(), rows, listing.take, bar)
    listing.end(kept)
    raise typer.Exit(1 if kept.drifted else 0)


class _Bar:
    """A progress bar on stderr, moved every few rows."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._done = self._calls = 0

    def begins(self, what: str, whole: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=whole)
        self._done = self._calls = 0

    def told(self, more: int) -> None:
        self._done += more
        self._calls += 1
        if self._task is not None and self._calls % _STEP == 0:
            self._progress.update(self._task, completed=self._done)


class _Listing:
    """Prints what is off: JSON and CSV as it comes, the table at the end and only up to a limit."""

    def __init__(self, form: str, limit: int) -> None:
        self._form, self._limit = form, limit
        self._rows: list[list[str]] = []
        self._left_out = 0
        self._csv = csv.writer(sys.stdout, lineterminator="\n")
        if form == "csv":
            self._csv.writerow(_HEADINGS)

    def take(self, found: list[Drift]) -> None:
        for one in found:
            if self._form == "json":
                typer.echo(msgspec.json.encode(one))
            elif self._form == "csv":
                self._csv.writerow(_cells(one))
            elif self._limit and len(self._rows) >= self._limit:
                self._left_out += 1
            else:
                self._rows.append(_cells(one))

    def end(self, kept: Reconciliation) -> None:
        if self._form == "json":
            typer.echo(msgspec.json.encode({"totals": kept}))
            return
        if self._rows:
            show_table([head.capitalize() for head in _HEADINGS], self._rows)
        if self._left_out:
            typer.echo(f"{self._left_out} more are not listed: --limit 0, --csv or --json", err=True)
        counts = f"{kept.missing} missing, {kept.extra} extra, {kept.different} different"
        said = f"{kept.rows} rows at revision {kept.revision}: {counts}, {kept.unknown_sku} with an unknown SKU"
        typer.echo(f"{said}; {kept.excluded} rows left out by the catalog", err=self._form == "csv")


def _cells(one: Drift) -> list[str]:
    values = [_said(one.found), _said(one.expected)] if one.field else ["", ""]
    return [one.kind, one.customer, str(one.line or ""), one.field or "", *values]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@contextlib.contextmanager
def _bar() -> Iterator[_Bar]:
    # Rows that are printed while the bar moves must not land in its stream.
    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield _Bar(progress)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[str]]:
    if str(file) == "-":
        yield sys.stdout
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        raise ConfigurationError(str(error)) from error
