"""A short run of ``make fuzz``: no answer of 500, no hang, no shape that the document does not have."""

from collections.abc import Iterator

import pytest

from fuzz.cases import Count, fuzz_api, fuzz_door
from fuzz.target import Target, running_target
from fuzz.topic import fuzz_topic
from licet.store.migrate import default_catalog
from support.stores import memory_store, postgres_store

pytestmark = pytest.mark.storm


@pytest.fixture(scope="module")
def target(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A web and a worker, with a key of each scope."""
    with running_target(postgres, tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def test_the_api_answers_as_its_document_says(target: Target) -> None:
    count = Count()
    fuzz_api(target, count, 200, seed=0)
    assert not count.failures, "\n".join(count.failures)
    assert count.statuses[200] > 20
    assert count.authenticated >= 0.8 * count.cases


def test_the_door_answers_every_body_and_signature(target: Target) -> None:
    count = Count()
    fuzz_door(target, count, 200, seed=0)
    assert not count.failures, "\n".join(count.failures)
    assert count.statuses[202] > 20
    assert count.statuses[401] > 3


def test_every_record_has_one_outcome_whatever_stands_in_it(database: str) -> None:
    assert fuzz_topic(memory_store(default_catalog()), 500, seed=0) >= 500
    with postgres_store(database) as store:
        assert fuzz_topic(store, 300, seed=1) >= 300
