"""The road on a database of each test's own."""

from collections.abc import Iterator

import pytest

from licet.publish import publisher as publishing
from publish.telling import Telling
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


@pytest.fixture
def telling(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telling]:
    monkeypatch.setattr(publishing, "LOOK_S", 0.0)
    built = Telling(database)
    yield built
    built.publisher.close()
