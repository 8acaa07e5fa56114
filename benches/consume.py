"""The consumer, with ledger and history, beside one bare ``unnest`` upsert of the same rows."""

import contextlib
import dataclasses
import itertools
import os
import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import psycopg

from benches.machine import Machine, postgres
from benches.table import Row, beside, interleaved
from licet.bootstrap import utc_now
from licet.consume.apply import Applied, Applier
from licet.database import named_queries
from licet.queue.message import Message, Record
from licet.queue.partitioner import partition_of
from licet.receive.uuid7 import uuid7
from licet.store.migrate import migrate
from licet.store.projection import PostgresProjection

CUSTOMERS = 20_000
MIXED = 10_000
BATCH = 500
ROUNDS = 5
BAR = 0.25
_SKUS = ("SKU1", "SKU2", "SKU3")


def run(machine: Machine) -> list[Row]:
    """Measure."""
    with postgres(machine) as (url, _), _on(machine), psycopg.connect(url, autocommit=True) as database:
        migrate(url)
        bench = _Bench(url, database)
        try:
            bench.load()
            flips, mixed = interleaved(ROUNDS, bench.flips, bench.mix)
        finally:
            bench.close()
    ours, wholes, narrows = ([CUSTOMERS / seconds for seconds in column] for column in zip(*flips, strict=True))
    note = "limit: one unnest upsert of the same rows of the table customer"
    row = Row(what="consume", measured=statistics.median(ours), unit="changes/s", note=note)
    scalars = "limit: the same of id, name, manager, engineer, terms and three flags alone"
    mix = "50 % flips, 40 % unchanged, 10 % duplicates"
    return [
        beside(row, ours, wholes, BAR),
        beside(dataclasses.replace(row, what="consume, beside scalars", note=scalars), ours, narrows),
        dataclasses.replace(
            row, what="consume, a mix", measured=statistics.median(MIXED / seconds for seconds in mixed), note=mix
        ),
    ]


@contextlib.contextmanager
def _on(machine: Machine) -> Iterator[None]:
    """Work on the server's core, the applier and the bare client alike."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {machine.server})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Bench:
    """Customers, an applier over them, and the bare tables beside it."""

    def __init__(self, url: str, database: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._database = database
        self._sql = named_queries("benches", "bare.sql")
        self._flags = {str(uuid.uuid4()): dict.fromkeys(_SKUS, True) for _ in range(CUSTOMERS)}
        self._latest: dict[str, Message] = {}
        self._offsets = [0] * 12
        self._outcomes: Counter[str] = Counter()
        self._projection = PostgresProjection(url)
        self._applier = Applier(self._projection, self._count)
        self._applier.assign("bench", range(12))
        database.execute(self._sql["tables"])
        database.prepare_threshold = 1  # as Licet's own connection

    def load(self) -> None:
        """Let every customer arrive once, here and in the bare tables."""
        for batch in self._batches():
            self._applier.apply([self._record(self._change(one)) for one in batch])
            self._upsert(batch)
        self._expect(applied=CUSTOMERS)
        self._database.execute("ANALYZE")

    def flips(self) -> tuple[float, float, float]:
        """Flip one SKU of each customer; batch by batch ours, then both limits. Returns the seconds of each."""
        total = (0.0, 0.0, 0.0)
        for batch in self._batches():
            records = [self._record(self._flip(one)) for one in batch]
            ours = _seconds(partial(self._applier.apply, records))
            total = tuple(map(sum, zip(total, (ours, *self._upsert(batch)), strict=True)))  # type: ignore[assignment]
        self._expect(applied=CUSTOMERS)
        return total

    def mix(self) -> float:
        """Apply half flips, four tenths unchanged, one tenth duplicates, ``MIXED`` in all. Returns the seconds."""
        total = 0.0
        for batch in itertools.islice(self._batches(), MIXED // BATCH):
            kinds = random.sample([self._flip] * 5 + [self._change] * 4 + [self._latest.__getitem__], 10)
            records = [self._record(kinds[index % 10](one)) for index, one in enumerate(batch)]
            total += _seconds(partial(self._applier.apply, records))
        self._expect(applied=MIXED // 2, unchanged=MIXED * 4 // 10, duplicate=MIXED // 10)
        return total

    def close(self) -> None:
        """Let go of the connection."""
        self._projection.close()

    def _batches(self) -> Iterator[Sequence[str]]:
        order = random.sample(list(self._flags), CUSTOMERS)
        for at in range(0, CUSTOMERS, BATCH):
            yield order[at : at + BATCH]

    def _flip(self, customer: str) -> Message:
        flags = self._flags[customer]
        sku = random.choice(_SKUS)
        flags[sku] = not flags[sku]
        return self._change(customer)

    def _change(self, customer: str) -> Message:
        """Write the customer's state as the seed does, under a new event id."""
        payload = {
            "AccountManager": "Ada Byron",
            "Id": customer,
            "Name": f"{customer[:8]}.example",
            "SalesEngineerId": customer,
            "SignedTos": True,
            **self._flags[customer],
        }
        now = utc_now()
        self._latest[customer] = Message(
            key=customer,
            value=msgspec.json.encode(payload),
            event_id=uuid7(now, os.urandom),
            source="salesforce",
            received_at=now,
        )
        return self._latest[customer]

    def _record(self, message: Message) -> Record:
        key = message.key.encode()
        partition = partition_of(key)
        self._offsets[partition] += 1
        return Record(
            log="bench",
            partition=partition,
            offset=self._offsets[partition] - 1,
            key=key,
            value=message.value,
            headers=message.headers(),
            appended_at=None,
        )

    def _upsert(self, batch: Sequence[str]) -> tuple[float, float]:
        """Upsert what Licet holds of these customers, all columns and scalars alone. Returns the seconds of each."""
        rows = self._database.execute(self._sql["rows"], (list(batch),)).fetchall()
        whole = [list(column) for column in zip(*rows, strict=True)]
        flags = [[self._flags[customer][sku] for customer in whole[0]] for sku in _SKUS]
        narrow = [*whole[:4], [True] * len(rows), *flags]
        return (
            _seconds(partial(self._database.execute, self._sql["whole"], whole)),
            _seconds(partial(self._database.execute, self._sql["narrow"], narrow)),
        )

    def _count(self, applied: Applied) -> None:
        self._outcomes.update(one.outcome.reason or one.outcome.kind.value for one in applied.deliveries)

    def _expect(self, **outcomes: int) -> None:
        """Make sure that what was measured is what was meant."""
        if self._outcomes != outcomes:
            raise RuntimeError(f"outcomes: found {dict(self._outcomes)}, expected {outcomes}")
        self._outcomes.clear()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
