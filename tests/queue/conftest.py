"""The logs: each test that asks for ``wire`` runs on every one of them."""

from collections.abc import Iterator

import pytest

from support.kafka import Broker, lacking, running_broker
from support.logs import KafkaWire, MemoryWire, PostgresWire, SpoolWire, Wire
from support.mock_cluster import MockCluster

ON_A_BROKER = [pytest.mark.broker, pytest.mark.xdist_group("broker")]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the items of an ``xdist_group`` together: xdist 3.8 writes the group where pytest 9.2 no longer looks."""
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None and not item.nodeid.endswith(f"@{mark.args[0]}"):
            item._id = type(item.id).parse(f"{item.nodeid}@{mark.args[0]}")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Apache Kafka, started once."""
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    with running_broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as mock:
        yield mock


@pytest.fixture(params=["memory", "postgres", "kafka-mock", "spool", pytest.param("kafka", marks=ON_A_BROKER)])
def wire(request: pytest.FixtureRequest) -> Wire:
    match request.param:
        case "memory":
            return MemoryWire()
        case "postgres":
            return PostgresWire(request.getfixturevalue("database"))
        case "kafka-mock":
            return KafkaWire.on_mock(request.getfixturevalue("cluster"))
        case "spool":
            mock = KafkaWire.on_mock(request.getfixturevalue("cluster"))
            return SpoolWire(mock, PostgresWire(request.getfixturevalue("database")))
        case _:
            return KafkaWire.on_broker(request.getfixturevalue("broker"))
