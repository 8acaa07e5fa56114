"""The logs: each test that asks for ``wire`` runs on every one of them."""

from collections.abc import Iterator

import pytest

from support.kafka import Broker, lacking, running_broker
from support.logs import KafkaWire, MemoryWire, PostgresWire, SpoolWire, Wire
from support.mock_cluster import MockCluster


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Apache Kafka, started once."""
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    with running_broker(tmp_path_factory.mktemp("kafka"), quick=True) as running:
        yield running


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as mock:
        yield mock


@pytest.fixture(params=["memory", "postgres", "kafka-mock", "spool", pytest.param("kafka", marks=pytest.mark.broker)])
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
