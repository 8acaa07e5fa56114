"""The settings at the command line."""

import asyncio
import contextlib
import getpass
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer

from licet.bootstrap.store import check_store
from licet.cli.table import Json, show_table
from licet.domain.errors import ConfigurationError
from licet.domain.principal import Actor
from licet.settings import Settings

T = TypeVar("T")
Desk = TypeVar("Desk")
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
Host = Annotated[str | None, typer.Option(help="The address to listen on (LICET_HOST).", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="The port to listen on (LICET_PORT).", show_default="8000")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; options given on the command line win. Raises ``ConfigurationError``."""
    return Settings.read(os.environ, **overrides)


def store_settings() -> Settings:
    """Read the settings of a command that needs the store, and look that it is there and at this release's schema."""
    settings = read_settings()
    check_store(settings)
    return settings


def at(
    desk: Callable[[Settings], contextlib.AbstractAsyncContextManager[Desk]],
    act: Callable[[Desk], Awaitable[T]],
    settings: Settings | None = None,
) -> T:
    """Lend a desk on the store for one act, and return what comes of it. ``settings``: of a store looked at already."""
    settings = settings or store_settings()

    async def acting() -> T:
        async with desk(settings) as lent:
            return await act(lent)

    return asyncio.run(acting())


def operator() -> Actor:
    """Return who runs the command: the user of this machine."""
    try:
        return Actor(getpass.getuser())
    except (KeyError, OSError):  # a container's user without an entry
        return Actor(f"uid {os.getuid()}")


def confirm(question: str, *, yes: bool, needed: bool = False) -> None:
    """Ask on a terminal, unless ``yes``. Elsewhere nobody can answer: what ``needed`` an answer ends there."""
    if yes or (not needed and not sys.stdin.isatty()):
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked here: say --yes")
    typer.confirm(question, abort=True, err=True)


def settings(_json: Json = False) -> None:
    """List every setting, its value here (secrets masked) and what it is for.

    Example: licet settings
    """
    show_table(("Setting", "Value", "What it is for"), read_settings().listing())
