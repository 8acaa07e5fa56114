"""``licet audit``: who did what."""

import datetime as dt
import sys
from typing import Annotated

import typer

from licet.answer.audit import list_audit
from licet.bootstrap.desks import audit_lines, audit_search
from licet.cli.settings import at, store_settings
from licet.cli.table import Json, progress, show_json, show_table
from licet.store.values import Action

app = typer.Typer(
    help="List and export what people did.\n\nExample: licet audit list --customer acme-1", no_args_is_help=True
)


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only what was done to this customer (its id).")] = None,
    actor: Annotated[str | None, typer.Option(help="Only by this user or key: a part of its name, or its id.")] = None,
    action: Annotated[Action | None, typer.Option(help="Only this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many entries.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where a list before this one ended.")] = None,
    as_json: Json = False,
) -> None:
    """List what people did, the last first; `export` tells what it was before and after, too.

    Example: licet audit list --customer acme-1
    """
    page = at(audit_search, lambda audit: list_audit(audit.search, customer, actor, action, cursor, limit))
    if as_json:
        show_json(page)
        return
    rows = []
    for one in page.items:
        what = one.subject if one.subject != one.customer else ""
        rows.append([one.entry, one.at, f"{one.actor} ({one.via})", one.action, one.customer, what, one.reason])
    show_table(("Entry", "At", "Who", "Did", "Customer", "What", "Why"), rows)
    if page.next:
        typer.echo(f"there is more: --cursor {page.next}", err=True)


@app.command()
def export(
    since: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="From this moment on (UTC).", show_default="all"),
    ] = None,
) -> None:
    """Print what people did as lines of JSON, the oldest first.

    Example: licet audit export --since 2026-11-01 > audit.jsonl
    """
    with progress("audit entries", shown=not sys.stdout.isatty()):
        for line in audit_lines(store_settings(), since.replace(tzinfo=dt.UTC) if since else None):
            typer.echo(line)
