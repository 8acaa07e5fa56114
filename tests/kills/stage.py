"""Workers that are killed while changes flow and licenses start and end; then topic, feed and clock are compared."""

import collections
import dataclasses
import datetime as dt
import json
import os
import pathlib
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import psycopg

from support.processes import Process, eventually, licet
from support.termed import GRACED, end_override, licensed, now, put_override

WORKERS = int(os.environ.get("WORKERS") or 2)
CUSTOMERS = 40
RATE = int(os.environ.get("RATE") or 50)  # changes a second
CHANGES, TOLD = "licet.customer-changes", "licet.license-changes"
# What the store says of a customer, in the words of the topic: its licenses and its overrides.
STORE = """
SELECT c.customer_id, (
    SELECT coalesce(json_object_agg(name, terms), '{}') FROM (
        SELECT sku, json_build_array(license_id, status, starts_at, ends_at) FROM license l
        WHERE l.customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)
        UNION ALL SELECT override_id::text, json_build_array(effect, kind, starts_at, ends_at) FROM override o
        WHERE o.customer_id = c.customer_id AND upper_inf(valid) AND upper_inf(recorded)
    ) AS held (name, terms))
FROM customer c
"""
# Every boundary that stood at its moment; nothing is changed that has begun, so that it still stands.
PASSED = """
SELECT DISTINCT b.kind, k.id, b.boundary, b.at FROM (
    SELECT 'license' AS kind, license_id AS id, starts_at, ends_at, valid, recorded FROM license WHERE status = 'active'
    UNION ALL SELECT 'override', override_id, starts_at, ends_at, valid, recorded FROM override
) AS k
CROSS JOIN LATERAL (
    VALUES (k.kind, 'start', k.starts_at), (k.kind, 'end', k.ends_at),
           (CASE k.kind WHEN 'license' THEN 'grace' END, 'end', k.ends_at + interval '24 h')
) AS b (kind, boundary, at)
JOIN revision_log began ON began.revision = lower(k.recorded)
LEFT JOIN revision_log ended ON ended.revision = upper(k.recorded)
WHERE b.kind IS NOT NULL AND upper_inf(k.valid) AND began.recorded_at < b.at
  AND (ended.recorded_at IS NULL OR ended.recorded_at > b.at) AND b.at < now()
"""
FOUND = "SELECT kind, id, boundary, at FROM time_event"


@dataclasses.dataclass
class Tally:
    """What came of a run."""

    kills: int = 0
    changes: int = 0
    touches: int = 0
    records: int = 0
    lost: int = 0
    disordered: int = 0
    stale: int = 0
    boundaries: int = 0
    untold: int = 0
    unmade: int = 0
    latest_s: float = 0.0
    p99_s: float = 0.0
    after_downtime: int = 0
    kinds: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.disordered or self.stale or self.untold or self.unmade)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.changes} changes: {self.touches} (revision, customer) in the feed, "
            f"{self.records} records on the topic; lost {self.lost}, out of order {self.disordered}, "
            f"customers whose last record is not the store's {self.stale}; "
            f"{self.boundaries} boundaries in time_event {self.kinds}, "
            f"not told {self.untold}, told without cause {self.unmade}; {self.boundaries - self.after_downtime} told "
            f"within a second, p99 {self.p99_s:.2f} s, the latest after {self.latest_s:.2f} s"
        )


class Stage:
    """Two workers on a broker and a database."""

    def __init__(self, folder: pathlib.Path, bootstrap: str, database: str) -> None:
        self._folder, self._bootstrap, self._url = folder, bootstrap, database
        self._env = {
            "LICET_DATABASE_URL": database,
            "LICET_KAFKA_BROKERS": bootstrap,
            "LICET_KAFKA_CONFIG": "session.timeout.ms=1500,heartbeat.interval.ms=300",
            "LICET_PUBLISH": "on",
            "LICET_BRAKE": "off",  # the load ends licenses all the time
            "LICET_METRICS_PORT": "0",
        }
        catalog = folder / "catalog.toml"
        catalog.write_text(GRACED)
        done = licet("migrate", env=self._env | {"LICET_CATALOG": str(catalog)}, folder=folder)
        assert done.code == 0, done
        self._workers = [self._start() for _ in range(WORKERS)]
        for worker in self._workers:
            worker.wait_for(r"\bstarted\b.*process=worker")

    def run(self, kills: int, seed: int, pause: tuple[float, float]) -> Tally:
        """Kill so many times, with so many seconds between, while changes flow; then judge."""
        dice, load = random.Random(seed), Load(self._bootstrap, seed)
        people = People(self._url, seed)
        load.start()
        people.start()
        try:
            for _ in range(kills):
                time.sleep(dice.uniform(*pause))
                number = dice.randrange(WORKERS)
                self._workers[number].signal(signal.SIGKILL)
                self._workers[number].ended()
                self._workers[number] = self._start()
        finally:
            people.stop()
            load.stop()
        eventually("all is applied", lambda: self._applied(load.sent), 60, every=0.2)
        time.sleep(2 * Load.SOON_S)  # what was granted last starts and ends by then
        eventually("the clocks have come to the end", lambda: not self._untold() or None, 60, every=0.2)
        eventually("all is told", self._told, 60, every=0.2)
        return self._judge(kills, load.sent)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    def _start(self) -> Process:
        return Process(self._folder, "worker", env=self._env)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def _applied(self, sent: int) -> bool | None:
        return self._rows("SELECT count(*) FROM delivery") == [(sent,)] or None

    def _told(self) -> bool | None:
        query = "SELECT p.revision >= (SELECT max(revision) FROM change_feed) FROM publish_position p"
        return self._rows(query) == [(True,)] or None

    def _untold(self) -> set[tuple[Any, ...]]:
        return set(self._rows(PASSED)) - set(self._rows(FOUND))

    def _judge(self, kills: int, changes: int) -> Tally:
        feed = set(self._rows("SELECT revision, subject FROM change_feed WHERE kind = 'customer'"))
        sightings: dict[str, list[int]] = {}
        last: dict[str, Any] = {}
        tally = Tally(kills=kills, changes=changes, touches=len(feed))
        for key, value in heard(self._bootstrap):
            tally.records += 1
            event = last[key] = json.loads(value)
            assert event["customer"] == key
            if event["revision"] not in sightings.setdefault(key, []):
                sightings[key].append(event["revision"])
        tally.lost = len(feed - {(revision, key) for key, seen in sightings.items() for revision in seen})
        tally.disordered = sum(seen != sorted(seen) for seen in sightings.values())
        store = dict(self._rows(STORE))
        tally.stale = sum(_held(last.get(customer_id)) != _timed(held) for customer_id, held in store.items())
        found = self._rows(FOUND)
        late = self._rows(
            "SELECT extract(epoch FROM r.recorded_at - at)::float8 FROM time_event JOIN revision_log r USING (revision)"
        )
        made = set(self._rows(PASSED))
        tally.boundaries, tally.untold, tally.unmade = len(found), len(made - set(found)), len(set(found) - made)
        tally.latest_s = max((row[0] for row in late), default=0.0)
        tally.p99_s = sorted(row[0] for row in late)[len(late) * 99 // 100] if late else 0.0
        tally.after_downtime = sum(row[0] > 1 for row in late)
        tally.kinds = dict(collections.Counter(row[0] for row in found))
        return tally


class Load:
    """Salesforce's changes straight into the log, from a thread of its own."""

    SOON_S = 1.0  # a license starts within that, and ends within that after

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        self._dice = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(30) == 0

    def _run(self) -> None:
        while not self._stop.wait(1 / RATE):
            payload = self._payload()
            headers: dict[str, str | bytes | None] = {
                "ce_specversion": "1.0",
                "ce_type": "licet.customer-change.v1",
                "ce_id": str(uuid.uuid4()),
            }
            headers |= {"ce_source": "salesforce", "ce_time": now().isoformat()}
            self._producer.produce(CHANGES, json.dumps(payload), payload["Id"], headers=headers)
            self._producer.poll(0)
            self.sent += 1

    def _payload(self) -> dict[str, Any]:
        """Some grant a license that soon starts and ends, to customers that nothing moves; others flip SKUs."""
        dice = self._dice
        if dice.random() < 0.1:  # a grace that ends soon
            return licensed(f"g{self.sent}", ends=now() + dt.timedelta(days=-1, seconds=dice.uniform(0.5, self.SOON_S)))
        if dice.random() < 0.5:
            starts = now() + dt.timedelta(seconds=dice.uniform(0.2, self.SOON_S))
            ends = starts + dt.timedelta(seconds=dice.uniform(0.2, self.SOON_S))
            return licensed(f"t{self.sent}", starts=starts, ends=ends)
        return {
            "Id": f"c{dice.randrange(CUSTOMERS)}",
            "SignedTos": True,
            "SKU1": dice.random() < 0.5,
            "Seen": self.sent,
        }


class People(threading.Thread):
    """Those who grant and block, straight in the store, five times a second, from a thread of their own."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__()
        self._url, self._dice, self._over = url, random.Random(seed), threading.Event()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Make one that soon starts and ends; or one for an hour, which is ended early or made to end soon."""
        known: list[str] = []
        while not self._over.wait(0.2):
            if len(known) < CUSTOMERS // 2:
                with psycopg.connect(self._url) as connection:
                    known = [
                        row[0]
                        for row in connection.execute("SELECT customer_id FROM customer WHERE fields ->> 'Seen' <> ''")
                    ]
            if not known:
                continue
            dice, customer_id, begin = self._dice, self._dice.choice(known), now()
            soon = [dt.timedelta(seconds=dice.uniform(0.2, Load.SOON_S)) for _ in range(2)]
            if dice.random() < 0.5:
                put_override(self._url, customer_id, begin + soon[0], begin + soon[0] + soon[1], kind="trial")
                continue
            one = put_override(self._url, customer_id, begin, begin + dt.timedelta(hours=1), effect="block")
            if dice.random() < 0.5:
                end_override(self._url, one)
            else:
                put_override(self._url, customer_id, begin, now() + soon[0], one)


def _held(event: Any) -> Any:
    """Say the licenses and overrides of an event as the store does."""
    if event is None:
        return None
    words = {
        "skus": ("license_id", "status", "starts_at", "ends_at"),
        "overrides": ("effect", "kind", "starts_at", "ends_at"),
    }
    return _timed(
        {key: [one[name] for name in names] for place, names in words.items() for key, one in event[place].items()}
    )


def _timed(skus: dict[str, list[Any]]) -> Any:
    """Read the times, which the store and the topic write in two ways."""
    return {
        sku: [*plain, *(moment and dt.datetime.fromisoformat(moment) for moment in times)]
        for sku, (*plain, one, other) in skus.items()
        for times in ((one, other),)
    }


def heard(bootstrap: str) -> Iterator[tuple[str, bytes]]:
    """Return all records that stand on the topic, committed, key by key in order."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "judge", "isolation.level": "read_committed"}
    consumer = confluent_kafka.Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    consumer.assign([confluent_kafka.TopicPartition(TOLD, number, 0) for number in range(12)])
    open_, end = set(range(12)), time.monotonic() + 60
    while open_ and time.monotonic() < end:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            assert error.code() == confluent_kafka.KafkaError._PARTITION_EOF, error
            open_.discard(message.partition())
        else:
            key, value = message.key(), message.value()
            assert key is not None
            assert value is not None, "nobody was erased"
            yield key.decode(), value
    consumer.close()
    assert not open_, f"partitions {open_} were not read to their end"
