"""``licet export`` and ``licet reconcile``."""

import contextlib
import csv
import datetime as dt
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer
from rich.progress import Progress, TaskID

from licet.bootstrap.desks import drift_desk, repair_orders
from licet.bootstrap.store import utc_now
from licet.cli.settings import operator, store_settings
from licet.cli.table import progress_bar, show_table
from licet.domain.drift import Drift
from licet.domain.errors import ConfigurationError
from licet.domain.fields import read_moment
from licet.store.values import Reconciliation

_HEADINGS = ("kind", "customer", "line", "field", "found", "expected", "repair")
_LISTED = 100  # in the table; the rest is counted
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
    repair: Annotated[bool, typer.Option("--repair", help="Publish to the queue what repairs the store.")] = False,
    exported_at: Annotated[str | None, typer.Option(help="When the export was begun: a time with a zone.")] = None,
    delete_missing: Annotated[bool, typer.Option("--delete-missing", help="Delete extra customers, too.")] = False,
    max_share: Annotated[
        float, typer.Option(min=0, max=100, help="How many % of the living customers may be missing, to be deleted.")
    ] = 5.0,
) -> None:
    """Compare the store with a full export of Salesforce, customer by customer, and keep what it came to.

    Missing customers are in the export alone, extra ones in the store alone. Of different ones, `found` is what the
    store has and `expected` what the export says; columns that the export lacks are not compared. An unknown SKU is a
    column named as SKUs are (`SKU…`, or as a flag of the catalog begins) that holds true and is not in the catalog.

    A repair reverts nothing that is newer than the export: not than the row's SystemModstamp or, of senders without
    times, than `--exported-at`. Cut off, run it again.

    Exit codes: 0 no drift; 1 drift; 2 the file cannot be read as a whole, or is not to be trusted: nothing is repaired.

    Example: licet reconcile accounts.csv --rows 18211
    """
    if as_json and as_csv:
        raise ConfigurationError("found --json and --csv, expected one of them")
    if (exported_at is not None and not repair) or (delete_missing and exported_at is None):
        raise ConfigurationError("--exported-at needs --repair, --delete-missing needs both")
    listing = _Listing("json" if as_json else "csv" if as_csv else "table", repair=repair)
    settings = store_settings()
    asked = {"exported_at": _moment(exported_at), "delete_missing": delete_missing, "max_share": max_share}
    with repair_orders(settings, **asked) if repair else contextlib.nullcontext() as orders, _bar() as bar:
        kept = drift_desk(settings).reconcile(file, operator(), rows, listing.take, bar, orders)
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

    def __init__(self, form: str, *, repair: bool) -> None:
        self._form = form
        self._headings = _HEADINGS if repair else _HEADINGS[:-1]
        self._rows: list[list[Any]] = []
        self._left_out = 0
        self._csv = csv.writer(sys.stdout, lineterminator="\n")
        if form == "csv":
            self._csv.writerow(self._headings)

    def take(self, found: list[Drift]) -> None:
        for one in found:
            if self._form == "json":
                typer.echo(msgspec.json.encode(one))
            elif self._form == "csv":
                self._csv.writerow(self._cells(one))
            elif len(self._rows) >= _LISTED:
                self._left_out += 1
            else:
                self._rows.append(self._cells(one))

    def end(self, kept: Reconciliation) -> None:
        if self._form == "json":
            typer.echo(msgspec.json.encode({"totals": kept}))
            return
        if self._rows:
            show_table([head.capitalize() for head in self._headings], self._rows)
        if self._left_out:
            typer.echo(f"{self._left_out} more are not listed: --csv or --json", err=True)
        counts = f"{kept.missing} missing, {kept.extra} extra, {kept.different} different"
        said = f"{kept.rows} rows at revision {kept.revision}: {counts}, {kept.unknown_sku} with an unknown SKU"
        typer.echo(f"{said}; {kept.excluded} rows left out by the catalog", err=self._form == "csv")
        if self._headings is _HEADINGS:
            told = f"{kept.repaired} repairs published, {kept.held_back} customers held back"
            typer.echo(told, err=self._form == "csv")

    def _cells(self, one: Drift) -> list[Any]:
        values = [_said(one.found), _said(one.expected)] if one.field else ["", ""]
        return [one.kind, one.customer, one.line, one.field, *values, one.repair][: len(self._headings)]


def _moment(text: str | None) -> dt.datetime | None:
    moment = read_moment(text, None) if text is not None and "T" in text else None
    if text is not None and (moment is None or moment > utc_now()):
        raise ConfigurationError(f"--exported-at: found {text}, expected a time gone by, with its zone")
    return moment


def _said(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


@contextlib.contextmanager
def _bar() -> Iterator[_Bar]:
    with progress_bar() as progress:
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
