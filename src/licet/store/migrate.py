"""Brings a database to the schema of this release: numbered migrations, each once, under one advisory lock."""

import hashlib
import importlib.resources
import re
from collections.abc import Callable

import msgspec
import psycopg
import psycopg.sql
from psycopg.conninfo import make_conninfo

from licet.domain.catalog import read_catalog
from licet.domain.errors import SchemaDiffers
from licet.store.catalogs import begin, insert_version

_NAME = re.compile(r"(\d{4})_\w+\.sql\Z")
_LOCK = 0x6C69636574  # "licet"
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    digest     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema. ``digest`` tells an edited file from the one that was applied."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations of this release, in order."""
    folder = importlib.resources.files("licet.store").joinpath("sql/migrations")
    found = [(_NAME.match(file.name), file) for file in folder.iterdir()]
    return sorted(
        (Migration(int(match[1]), file.name, file.read_text("utf-8")) for match, file in found if match),
        key=lambda migration: migration.number,
    )


def migrate(
    url: str, catalog: str | None = None, begins: Callable[[int, int], None] = lambda *_: None
) -> list[Migration]:
    """Apply what is pending and return it; ``begins`` is told which of how many. A second caller waits for the first.

    ``catalog`` is the TOML of version 1 where the store has none; None means the default catalog. Each migration
    waits at most 3 s for a lock, so that it fails rather than stop a running service.
    """
    with psycopg.connect(make_conninfo(url, application_name="licet migrate"), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER)
        todo = _pending(connection)
        for count, migration in enumerate(todo):
            begins(count, len(todo))
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '3s'")
                connection.execute(migration.sql.encode())
                connection.execute(
                    "INSERT INTO schema_migration (number, name, digest) VALUES (%s, %s, %s)",
                    (migration.number, migration.name, migration.digest),
                )
        with connection.transaction():
            if connection.execute("SELECT 1 FROM catalog_version LIMIT 1").fetchone() is None:
                text = catalog if catalog is not None else default_catalog()
                insert_version(connection, read_catalog(text, 1), "the first start", *begin(connection))
        return todo


def grant(url: str, role: str) -> None:
    """Let a role that owns nothing do what services do, and no more: it adds to the audit, and changes none of it."""
    text = importlib.resources.files("licet.store").joinpath("sql/grants.sql").read_bytes().decode()
    with psycopg.connect(make_conninfo(url, application_name="licet migrate")) as connection:
        connection.execute(psycopg.sql.SQL(text).format(role=psycopg.sql.Identifier(role)))


def default_catalog() -> str:
    """Return the catalog of a fresh store, as TOML."""
    return importlib.resources.files("licet.store").joinpath("default_catalog.toml").read_text("utf-8")


def check_migrated(url: str) -> None:
    """Raise ``SchemaDiffers`` where the database is not at this release's schema."""
    with psycopg.connect(make_conninfo(url, application_name="licet"), autocommit=True) as connection:
        known = connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
        todo = _pending(connection) if known is not None and known[0] else migrations()
    if todo:
        more = f" and {len(todo) - 1} more" if len(todo) > 1 else ""
        raise SchemaDiffers(f"the database lacks the migrations {todo[0].name}{more}", "run `licet migrate`")


def _pending(connection: psycopg.Connection) -> list[Migration]:
    applied = {
        number: (name, digest)
        for number, name, digest in connection.execute("SELECT number, name, digest FROM schema_migration")
    }
    ours = migrations()
    for migration in ours:
        if migration.number in applied and applied[migration.number][1] != migration.digest:
            found = f"migration {migration.name} was edited after it had been applied"
            raise SchemaDiffers(found, "install the release as it was published")
    beyond = sorted(set(applied) - {migration.number for migration in ours})
    if beyond:
        found = f"the database is ahead: it knows migration {applied[beyond[-1]][0]}, this release does not"
        raise SchemaDiffers(found, "start the newer release that made it, or restore the backup of before the upgrade")
    return [migration for migration in ours if migration.number not in applied]
