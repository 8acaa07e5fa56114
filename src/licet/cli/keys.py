"""``licet keys``: API keys."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from licet.bootstrap.desks import key_desk
from licet.cli.settings import operator, store_settings
from licet.cli.table import show_table
from licet.manage.keys import CreatedKey
from licet.settings import Settings
from licet.store.ports import StoredKey

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; it is the author of what the key changes.")],
    scope: Annotated[
        list[str],
        typer.Option(help="read, explain, snapshot, write, support, ingest or admin; may stand several times."),
    ],
) -> None:
    """Make a key and print it once; only its hash is kept.

    Example: licet keys create billing-app --scope read
    """
    created = asyncio.run(_create(store_settings(), name, scope))
    typer.echo(created.token)
    typer.echo(f"key {created.key.key_id} for {name}: keep it now, it is not shown again", err=True)


@app.command("list")
def list_() -> None:
    """List all keys: scopes, author, last use, revocation.

    Example: licet keys list
    """
    rows = []
    for key in asyncio.run(_all(store_settings())):
        moments = [key.created_at, key.last_used_at, key.revoked_at]
        said = [moment.isoformat(" ", "seconds") if moment else "" for moment in moments]
        rows.append([key.key_id, key.name, " ".join(sorted(key.scopes)), key.author, *said])
    show_table(("Key", "Name", "Scopes", "Author", "Created", "Last used", "Revoked"), rows)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `licet keys list` shows it.")]) -> None:
    """End a key; running processes refuse it within a second.

    Example: licet keys revoke k3f9a0c1d2
    """
    key = asyncio.run(_revoke(store_settings(), key_id))
    typer.echo(f"key {key.key_id} ({key.name}) is revoked")


async def _create(settings: Settings, name: str, scopes: Sequence[str]) -> CreatedKey:
    async with key_desk(settings) as desk:
        return await desk.create(name, scopes, operator())


async def _all(settings: Settings) -> Sequence[StoredKey]:
    async with key_desk(settings) as desk:
        return await desk.all()


async def _revoke(settings: Settings, key_id: str) -> StoredKey:
    async with key_desk(settings) as desk:
        return await desk.revoke(key_id, operator())
