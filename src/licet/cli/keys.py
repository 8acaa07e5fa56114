"""``licet keys``: API keys."""

from typing import Annotated

import typer

from licet.bootstrap.desks import key_desk
from licet.cli.settings import at, operator
from licet.cli.table import Json, say, show_table
from licet.manage.keys import Keys

app = typer.Typer(
    help="Create, list and revoke API keys.\n\nExample: licet keys create shop --scope snapshot", no_args_is_help=True
)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is; it is the author of what the key changes.")],
    scope: Annotated[
        list[str],
        typer.Option(help="read, explain, snapshot, write, support, ingest or admin; may stand several times."),
    ],
    _json: Json = False,
) -> None:
    """Make a key and print it once; only its hash is kept.

    Example: licet keys create billing-app --scope read
    """
    created = at(key_desk, lambda desk: desk.create(name, scope, operator()))
    say(created.token, key=created.key.key_id, name=name, scopes=sorted(created.key.scopes), token=created.token)
    typer.echo(f"key {created.key.key_id} for {name}: keep it now, it is not shown again", err=True)


@app.command("list")
def list_(_json: Json = False) -> None:
    """List all keys: scopes, author, last use, revocation.

    Example: licet keys list
    """
    rows = [
        [key.key_id, key.name, sorted(key.scopes), key.author, key.created_at, key.last_used_at, key.revoked_at]
        for key in at(key_desk, Keys.all)
    ]
    show_table(("Key", "Name", "Scopes", "Author", "Created", "Last used", "Revoked"), rows)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `licet keys list` shows it.")], _json: Json = False
) -> None:
    """End a key; running processes refuse it within a second.

    Example: licet keys revoke k3f9a0c1d2
    """
    key = at(key_desk, lambda desk: desk.revoke(key_id, operator()))
    say(f"key {key.key_id} ({key.name}) is revoked", key=key.key_id, name=key.name, revoked=key.revoked_at)
