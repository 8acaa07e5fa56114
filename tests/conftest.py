"""What all tests share: a scrubbed environment and one PostgreSQL server."""

import logging
import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from support.database import database_url_for, server

SCRUBBED = [name for name in os.environ if name.startswith("LICET_") and not name.startswith("LICET_TEST_")]
for _name in SCRUBBED:
    del os.environ[_name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests on a real broker: they wait more than they compute, and the others fill that time."""
    items.sort(key=lambda item: item.get_closest_marker("broker") is None)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test did to the logging of the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server: the one that LICET_TEST_DATABASE_URL names, else the embedded one."""
    with server() as url:
        yield url


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """The name of a migrated database, from which each test's own is copied in some 30 ms."""
    from support.database import migrated_template

    with migrated_template(postgres) as name:
        yield name


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """The address of a database with nothing in it."""
    yield from _database(postgres, "template0")


@pytest.fixture
def database(postgres: str, template: str) -> Iterator[str]:
    """The address of a migrated database of this test alone, with the default catalog."""
    yield from _database(postgres, template)


def _database(server_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield database_url_for(server_url, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
