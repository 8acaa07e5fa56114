"""``licet catalog``: which Salesforce field means what, and which SKU grants which feature."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from licet.bootstrap.desks import catalog_desk, catalog_plans, refold_customers
from licet.cli.settings import Yes, confirm, operator, store_settings
from licet.cli.table import Json, progress, say, show_table
from licet.consume.plan import Effect, Told, Totals
from licet.domain.catalog import read_catalog
from licet.domain.errors import ConfigurationError, InvalidInput
from licet.settings import Settings

app = typer.Typer(
    help="Show, plan and apply the catalog of SKUs and features.\n\nExample: licet catalog plan catalog.toml",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Argument(help="The catalog, in TOML.")]
_PAGE = 500  # rows of a table without a limit that are held at once
_HEADINGS = ("Customer", "Name", "Effect", "What", "Before", "After")


@app.command()
def show(_json: Json = False) -> None:
    """Print the current catalog as TOML.

    Example: licet catalog show > catalog.toml
    """
    current = catalog_desk(store_settings()).show()
    say(current.document.removesuffix("\n"), version=current.version, document=current.document)
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
    listing = _Listing(as_json=as_json, limit=0 if as_json else limit)
    totals, version = _look(store_settings(), _read(file), after, listing)
    listing.flush()
    typer.echo(f"against version {version}, the current one", err=True)
    if as_json:
        typer.echo(msgspec.json.encode({"totals": vars(totals)}))
    else:
        typer.echo(_summary(totals))
        if listing.left_out:
            typer.echo(f"{listing.left_out} changes are not listed: --after {listing.last}, or --limit 0", err=True)


@app.command()
def apply(file: File, yes: Yes = False, as_json: Json = False) -> None:
    """Make a file the current catalog, and bring existing customers under it. Interrupted, run it again.

    Example: licet catalog apply catalog.toml
    """
    settings, document = store_settings(), _read(file)
    desk, totals = catalog_desk(settings), None
    current = desk.show()
    version = current.version
    if document != current.document:
        totals, version = _look(settings, document, "", None)
        typer.echo(_summary(totals), err=as_json)
        confirm(f"replace version {version} of the catalog? (`licet catalog plan` lists what changes)", yes=yes)
        desk.apply(document, operator(), version)
        version += 1
        typer.echo(f"version {version} is current", err=as_json)
    else:
        typer.echo("this catalog is current already", err=as_json)
    reached = 0
    with progress("customers") as moves:
        for count in refold_customers(settings):
            reached += count
            moves(completed=reached)
    done = {"version": version, "totals": vars(totals) if totals is not None else None, "reached": reached}
    say(f"{reached} customers brought under it", **done)


def _look(settings: Settings, document: str, after: str, listing: "_Listing | None") -> tuple[Totals, int]:
    """Plan with a progress bar; returns the totals and the version that the plan was made against."""
    totals, against = Totals(), 0
    # Rows that are printed while the bar moves must not land in it.
    torn = listing is not None and listing.streams and sys.stdout.isatty()
    with progress("customers", shown=not torn) as moves:

        def begins(version: int, count: int) -> None:
            nonlocal against
            against = version
            moves(total=count)

        for step in catalog_plans(settings).steps(document, after, begins):
            totals.add(step)
            moves(advance=step.customers)
            if listing is not None:
                listing.take(step.effects)
    return totals, against


def _summary(totals: Totals) -> str:
    counted = ", ".join(f"{count} {effect}" for effect, count in totals.effects.items())
    return f"{totals.affected} of {totals.customers} customers are affected: {counted}"


class _Listing:
    """Prints changes as they come, up to a limit, never half of a customer's; the rest is counted."""

    def __init__(self, *, as_json: bool, limit: int) -> None:
        self._as_json = as_json
        self._limit = limit
        self.streams = not limit
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
        if self.streams and len(self._rows) >= _PAGE:
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
            msgspec.structs.replace(fault, field=f"{file}:{fault.line}:{fault.column} {fault.field}", line=0)
            for fault in error.faults
        ]
        raise InvalidInput.of(*placed) from error
    return document
