"""The settings at the command line."""

import getpass
import os
import sys
from typing import Annotated, Any

import typer

from licet.bootstrap.store import check_store
from licet.cli.table import show_table
from licet.domain.errors import ConfigurationError
from licet.domain.principal import Actor
from licet.settings import Settings

# What acts of people ask for.
Reason = Annotated[str, typer.Option(help="Why; it is kept with your name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; options given on the command line win. Raises ``ConfigurationError``."""
    return Settings.read(os.environ, **overrides)


def store_settings() -> Settings:
    """Read the settings of a command that needs the store, and look that it is there and at this release's schema."""
    settings = read_settings()
    check_store(settings)
    return settings


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


def show_settings(settings: Settings) -> None:
    """Print every setting."""
    show_table(("Setting", "Value", "What it is for"), settings.listing())
