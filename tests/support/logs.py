"""The logs that the conformance suite runs on, each with a way to break and mend it."""

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import psycopg
from psycopg.conninfo import conninfo_to_dict

from licet.observe.metrics import Metrics
from licet.queue.drain import GIVE_UP_S, Drainer
from licet.queue.kafka import KafkaLog, KafkaTopic
from licet.queue.kafka_reader import KafkaReader, KafkaSurvey
from licet.queue.message import Message, Position, Record
from licet.queue.ports import AppendFailed, ChangeLog, LogReader, LogSurvey, Positions
from licet.queue.postgres import PostgresLog, log_name
from licet.queue.postgres_reader import PostgresReader, PostgresSurvey
from licet.queue.spool import KAFKA_SHARE, SPOOL_SHARE, SpoolLog
from licet.queue.spool_state import SpoolState
from sim.topic import MemoryLog, MemoryReader, MemorySurvey, Topic
from support.database import database_url_for
from support.kafka import Broker
from support.mock_cluster import MockCluster

Results = Sequence[Position | AppendFailed]


def nothing_stored(_log: str, _partitions: Collection[int]) -> Mapping[int, int | None]:
    """Positions of a store that has none."""
    return {}


class Wire(Protocol):
    """One log under test."""

    def log(self, timeout: float = 4.0) -> ChangeLog: ...
    def reader(self, positions: Positions = nothing_stored) -> LogReader: ...
    def survey(self) -> LogSurvey: ...
    def break_(self) -> None: ...
    def mend(self) -> None: ...


class KafkaWire:
    """A topic of its own on a cluster, mock or real."""

    def __init__(
        self, bootstrap: str, break_: Callable[[], None], mend: Callable[[], None], *, mock: bool = False
    ) -> None:
        # A broker that hangs is noticed after the socket's time-out, 5 s by default. The mock cluster shares partitions
        # out anew only after the session's time-out less one second.
        config = {"socket.timeout.ms": "2000"}
        if mock:
            config |= {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}
        self.topic = KafkaTopic(brokers=bootstrap, name=f"changes-{uuid.uuid4().hex[:8]}", config=config)
        self.group = f"worker-{self.topic.name}"
        self.break_ = break_
        self.mend = mend

    @classmethod
    def on_mock(cls, cluster: MockCluster) -> "KafkaWire":
        wire = cls(cluster.bootstrap, cluster.set_down, cluster.set_up, mock=True)
        cluster.create_topic(wire.topic.name)
        return wire

    @classmethod
    def on_broker(cls, broker: Broker) -> "KafkaWire":
        return cls(broker.bootstrap, broker.pause, broker.resume)

    def log(self, timeout: float = 4.0) -> KafkaLog:
        return KafkaLog(self.topic, timeout=timeout)

    def reader(self, positions: Positions = nothing_stored) -> KafkaReader:
        return KafkaReader(self.topic, positions, group=self.group)

    def survey(self) -> KafkaSurvey:
        return KafkaSurvey(self.topic)


class PostgresWire:
    """The queue's tables in a database of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = log_name(url)
        self._database = str(conninfo_to_dict(url)["dbname"])

    def log(self, timeout: float = 4.0) -> PostgresLog:
        return PostgresLog(self.url, self.name, timeout=timeout)

    def reader(self, positions: Positions = nothing_stored) -> PostgresReader:
        return PostgresReader(self.url, positions)

    def survey(self) -> PostgresSurvey:
        return PostgresSurvey(self.url)

    def break_(self) -> None:
        self._allow(False)
        with psycopg.connect(database_url_for(self.url, "postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._database]
            )

    def mend(self) -> None:
        self._allow(True)

    def _allow(self, on: bool) -> None:
        with psycopg.connect(database_url_for(self.url, "postgres"), autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{self._database}" ALLOW_CONNECTIONS {on}'.encode())


class MemoryWire:
    """The simulation's topic, over a link without faults."""

    def __init__(self) -> None:
        self.topic = Topic(f"memory:changes@{uuid.uuid4()}")

    def log(self, timeout: float = 4.0) -> MemoryLog:
        return MemoryLog(self.topic, timeout=timeout)

    def reader(self, positions: Positions = nothing_stored) -> MemoryReader:
        return MemoryReader(self.topic, positions)

    def survey(self) -> MemorySurvey:
        return MemorySurvey(self.topic)

    def break_(self) -> None:
        self.topic.down = True

    def mend(self) -> None:
        self.topic.down = False


class SpoolWire:
    """Kafka with the spool behind it: a topic on the mock cluster, the queue's tables in a database of its own."""

    def __init__(self, kafka: KafkaWire, postgres: PostgresWire) -> None:
        self.kafka = kafka
        self.postgres = postgres
        self.metrics = Metrics()

    def log(self, timeout: float = 4.0) -> SpoolLog:
        state = SpoolState(self.postgres.url, self.metrics)
        log = SpoolLog(
            self.kafka.log(timeout * KAFKA_SHARE),
            PostgresLog(
                self.postgres.url, self.postgres.name, timeout=timeout * SPOOL_SHARE, opening=lambda: state.opening
            ),
            state,
            Drainer(self.postgres.url, self.kafka.log(GIVE_UP_S), state, self.metrics),
            self.metrics,
            timeout=timeout,
        )
        log.start()
        return log

    def reader(self, positions: Positions = nothing_stored) -> KafkaReader:
        return self.kafka.reader(positions)

    def survey(self) -> KafkaSurvey:
        return self.kafka.survey()

    def break_(self) -> None:
        self.kafka.break_()
        self.postgres.break_()

    def mend(self) -> None:
        self.kafka.mend()
        self.postgres.mend()


def message(key: str, number: int = 0, value: bytes | None = None) -> Message:
    """Make a change whose value tells its key and number."""
    return Message(
        key=key,
        value=f'{{"Id":"{key}","n":{number}}}'.encode() if value is None else value,
        event_id=f"{key}-{number}",
        source="salesforce",
        received_at=dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC),
    )


def append(wire: Wire, messages: Sequence[Message], *, log: ChangeLog | None = None) -> Results:
    """Open a log, append once, close it."""

    async def run() -> Results:
        opened = log or wire.log()
        try:
            return await opened.append(messages)
        finally:
            await opened.close()

    return asyncio.run(run())


def placed(results: Results) -> list[Position]:
    """Return the positions; every message must have one."""
    positions = [result for result in results if isinstance(result, Position)]
    assert len(positions) == len(results), [result for result in results if isinstance(result, AppendFailed)][:3]
    return positions


def read(reader: LogReader, count: int, *, limit: int = 500, seconds: float = 20) -> list[Record]:
    """Poll until ``count`` records are there."""
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records in {seconds} s"
        records += reader.poll(limit, 0.2)
    return records


def poll_until(condition: Callable[[], bool], *readers: LogReader, seconds: float = 20) -> list[Record]:
    """Poll the readers in turn until the condition holds; return what they read."""
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        for reader in readers:
            records += reader.poll(500, 0.05)
    return records
