"""The road on a database of each test's own."""

from collections.abc import Iterator

import pytest

from support.termed import TERMED
from support.world import Log, Road, apply_catalog


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def road(database: str, log: Log) -> Iterator[Road]:
    """The real applier; its catalog has licenses with a start and an end."""
    apply_catalog(database, TERMED)
    built = Road(database, log.name)
    yield built
    built.close()
