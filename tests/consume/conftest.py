"""A database that the examples of one module share; each example uses names of its own."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from support.database import database_url_for


@pytest.fixture(scope="module")
def shared_database(postgres: str, template: str) -> Iterator[str]:
    """The address of a migrated database with the default catalog, for all tests of the module."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield database_url_for(postgres, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
