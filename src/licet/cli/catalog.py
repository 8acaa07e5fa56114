"""``licet catalog``: which Salesforce field means what, and which SKU grants which feature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from licet.bootstrap.desks import catalog_desk, catalog_plans, refold_customers
from licet.cli.settings import confirm, operator, store_settings
from licet.cli.table import show_table
from licet.consume.plan import Effect, Told, Totals
from licet.domain.catalog import read_catalog
from licet.domain.errors import ConfigurationError, InvalidInput

app = typer.Typer(help="Show, plan and apply the catalog of SKUs and features.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="The catalog, in TOML.")]
_PAGE = 500  # rows of a table that are held at once
_HEADINGS = ("Customer", "Name", "", "What", "Before", "After")


@app.command()
def show() -> None:
    """Print the current catalog as TOML.

    Example: licet catalog show > catalog.toml
    """
    current = catalog_desk(store_settings()).show()
    typer.echo(current.document, nl=False)
    typer.echo(f"version {current.version}", err=True)


@app.command()
def plan(
    file: File,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print lines of JSON, all of them; the last: totals.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="About how many changes to list; 0: all.")] = 100,
    after: Annotated[str, typer.Option(help="Only customers beyond this id, as a plan before named it.")] = "",
) -> None:
    """Show which customers would gain and lose what, and why. Nothing is written.

    Example: licet catalog plan catalog.toml
    """
    settings, document = store_settings(), _read(file)
    totals, listing = Totals(), _Listing(as_json=as_json, limit=0 if as_json else limit)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("customers", total=None)

        def begins(version: int, count: int) -> None:
            progress.update(task, total=count)
            progress.console.print(f"against version {version}, the current one", highlight=False)

        for step in catalog_plans(settings).steps(document, after, begins):
            totals.add(step)
            listing.take(step.effects)
            progress.advance(task, step.customers)
    listing.flush()
    if as_json:
        typer.echo(msgspec.json.encode({"totals": vars(totals)}))
    else:
        counted = ", ".join(f"{count} {effect}" for effect, count in totals.effects.items())
        typer.echo(f"{totals.affected} of {totals.customers} customers are affected: {counted}")
        if listing.left_out:
            typer.echo(f"{listing.left_out} changes are not listed: --after {listing.last}, or --limit 0", err=True)


@app.command()
def apply(file: File, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Make a file the current catalog, and bring existing customers under it. Interrupted, run it again.

    Example: licet catalog apply catalog.toml
    """
    settings, document = store_settings(), _read(file)
    desk = catalog_desk(settings)
    current = desk.show()
    if document != current.document:
        confirm(f"replace version {current.version} of the catalog? (`licet catalog plan` shows what changes)", yes=yes)
    applied = desk.apply(document, operator(), current.version)
    typer.echo(f"version {applied.version} is current" if applied else "this catalog is current already")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("customers", total=None)
        reached = 0
        for count in refold_customers(settings):
            reached += count
            progress.update(task, completed=reached)
    typer.echo(f"{reached} customers brought under it")


class _Listing:
    """Prints changes as they come, up to a limit, never half of a customer's; the rest is counted."""

    def __init__(self, *, as_json: bool, limit: int) -> None:
        self._as_json = as_json
        self._limit = limit
        self._printed = self.left_out = 0
        self._rows: list[Sequence[str]] = []
        self.last = ""

    def take(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if self._limit and self._printed >= self._limit and effect.customer != self.last:
                self.left_out += 1
                continue
            self._printed, self.last = self._printed + 1, effect.customer
            if self._as_json:
                typer.echo(msgspec.json.encode(effect))
            else:
                what = effect.what if effect.kind == "feature" else f"{effect.kind} {effect.what}"
                name = (effect.name or "")[:30]
                said = [_said(effect.before), _said(effect.after)]
                self._rows.append([effect.customer, name, effect.effect, what, *said])
        if len(self._rows) >= _PAGE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            show_table(_HEADINGS, self._rows)
            self._rows = []


def _said(told: Told | None) -> str:
    if told is None:
        return ""
    value = f" {told.value}" if told.value not in (None, True) else ""
    sku = f" ({told.sku})" if told.sku else ""
    until = f" until {told.until:%Y-%m-%d %H:%M}" if told.until else ""
    return f"{told.reason}{value}{sku}{until}"


def _read(file: Path) -> str:
    """Read a catalog's text. What is wrong with it is told with the file, the line and the column."""
    try:
        document = file.read_text("utf-8")
        read_catalog(document)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    except InvalidInput as error:
        placed = [
            msgspec.structs.replace(fault, field=f"{file}:{fault.line}:{fault.column} {fault.field}")
            for fault in error.faults
        ]
        raise InvalidInput.of(*placed) from error
    return document
