"""The command line, as its own tests run it."""

from cli.conftest import cli as cli  # noqa: PLC0414 a fixture, handed on
