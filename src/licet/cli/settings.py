"""The settings at the command line."""

import os
from typing import Any

from licet.cli.table import show_table
from licet.settings import Settings


def read_settings(**overrides: Any) -> Settings:
    """Read the environment; options given on the command line win. Raises ``ConfigurationError``."""
    return Settings.read(os.environ, **overrides)


def show_settings(settings: Settings) -> None:
    """Print every setting."""
    show_table(("Setting", "Value", "What it is for"), settings.listing())
