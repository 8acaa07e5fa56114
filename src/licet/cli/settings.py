"""The settings at the command line."""

import os
from typing import Any

from rich.console import Console
from rich.table import Table

from licet.settings import Settings


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; options given on the command line win. Raises ``ConfigurationError``."""
    return Settings.read(os.environ, **overrides)


def show_settings(settings: Settings) -> None:
    """Print every setting; a terminal gets a table, anything else lines of tab-separated values."""
    console = Console()
    rows = settings.listing()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row))  # noqa: T201 the command's output
        return
    table = Table(box=None)
    for heading in ("Setting", "Value", "What it is for"):
        table.add_column(heading, overflow="fold")
    for name, value, help_ in rows:
        table.add_row(name, value, help_)
    console.print(table)
