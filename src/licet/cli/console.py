"""``licet console``: who gets into the console, and whose sessions end."""

from typing import Annotated

import typer

from licet.bootstrap.desks import session_desk
from licet.cli.settings import Reason, at, operator, store_settings
from licet.cli.table import Json, say
from licet.console.sign_in import link_path
from licet.domain.errors import Fault, InvalidInput
from licet.settings import Settings

app = typer.Typer(
    help="Let somebody into the console, and end sessions there.\n\nExample: licet console link", no_args_is_help=True
)


@app.command()
def link(
    name: Annotated[
        str | None, typer.Option("--as", help="Who comes by it, the author of changes. Without: this machine's user.")
    ] = None,
    _json: Json = False,
) -> None:
    """Print a link that signs in once, as an admin, within 15 minutes.

    Example: licet console link --as ada@acme.example
    """
    settings = store_settings()
    say(address := console_url(settings) + make_link(settings, name), link=address)


@app.command()
def end(
    reason: Reason,
    name: Annotated[str | None, typer.Argument(help="Whose sessions, as the audit names the author.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="All sessions of all people.")] = False,
    _json: Json = False,
) -> None:
    """End a person's sessions; every web process refuses them within a second. Signing in anew begins another.

    Example: licet console end ada@acme.example --reason "left the company"
    """
    if (name is None) is not everyone:
        raise InvalidInput.of(Fault("name", "none" if name is None else "both", "a name or --everyone"))

    at(session_desk, lambda sessions: sessions.end(name, reason, operator()))
    say(f"the sessions of {name or 'everyone'} are ended", name=name, everyone=everyone)


def make_link(settings: Settings, name: str | None = None) -> str:
    """Make a link; returns its path."""
    return link_path(at(session_desk, lambda sessions: sessions.link(name or operator().name, operator()), settings))


def console_url(settings: Settings) -> str:
    """Return where a browser finds the console, as ``http://host``."""
    return settings.console_url or f"http://localhost:{settings.port}"
