"""A database that the examples of one module share; each example uses names of its own."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from support.database import database_url_for
from support.world import Log, Road


@pytest.fixture(scope="module")
def shared_database(postgres: str, template: str) -> Iterator[str]:
    """The address of a migrated database with the default catalog, for all tests of the module."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield database_url_for(postgres, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def log() -> Log:
    """A log that no other test writes to."""
    return Log()


@pytest.fixture
def road(database: str, log: Log) -> Iterator[Road]:
    """The real applier of that log, on a database of this test alone."""
    built = Road(database, log.name)
    yield built
    built.close()


@pytest.fixture
def shared_road(shared_database: str, log: Log) -> Iterator[Road]:
    """The real applier of that log, on the module's database; use customers of the test's own."""
    built = Road(shared_database, log.name)
    yield built
    built.close()
