"""What must hold when a seed has come to rest."""

import datetime as dt
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING

from consume.agreement import Told, check_state, histories
from consume.model import Model, Sent
from licet.queue.message import REPLAY_OF, Record
from support.stores import MemoryLook

if TYPE_CHECKING:
    from sim.world import World


def check(world: "World") -> None:
    """Raise ``AssertionError`` with what does not hold."""
    told = Told(MemoryLook(world.store), world.topic.name, "c-")
    check_each_delivery_once(world, told)
    check_acknowledged(world)
    check_applied_once(world, told)
    check_order(world)
    model = Model(world.mapping)
    for sent in deliveries(world, told):
        model.deliver(sent)
    check_state(told, model)
    assert told.history() == histories(model), "the licenses' history is not the model's"


def check_each_delivery_once(world: "World", told: Told) -> None:
    """The ledger's rows are the log's records, one for one; offsets stand behind the last of each partition."""
    written = {(record.partition, record.offset) for records in world.topic.records for record in records}
    rows = Counter((row["partition"], row["offset"]) for row in told.ledger)
    assert not written - set(rows), f"no outcome: {sorted(written - set(rows))}"
    assert not set(rows) - written, f"never written: {sorted(set(rows) - written)}"
    assert set(rows.values()) <= {1}, "two outcomes of one delivery"
    assert [row["sequence"] for row in told.ledger] == list(range(1, len(told.ledger) + 1)), "a gap of sequence numbers"
    revisions = [row["revision"] for row in told.ledger]
    assert revisions == sorted(revisions), "a revision that fell"


def places(world: "World") -> dict[tuple[str, str], Record]:
    """Where each change stands first in the log, by (event id, customer)."""
    first: dict[tuple[str, str], Record] = {}
    for record in itertools.chain(*world.topic.records):
        headers = dict(record.headers)
        if REPLAY_OF not in headers and (record.partition, record.offset) not in world.rubbish:
            first.setdefault((headers["ce_id"].decode(), (record.key or b"").decode()), record)
    return first


def check_acknowledged(world: "World") -> None:
    first = places(world)
    lost = [one for one in world.acknowledged if (one.event_id, one.customer_id) not in first]
    assert not lost, f"acknowledged and lost: {lost[0]}"


def check_applied_once(world: "World", told: Told) -> None:
    """No change is applied twice, however often it arrived. What a person replays may be, and the model says when."""
    applied = Counter(
        (row["source"], row["event_id"], row["customer_id"], row["payload"])
        for row in told.ledger
        if row["outcome"] == "applied" and row["replay_of"] is None
    )
    doubled = [key for key, count in applied.items() if count > 1]
    assert not doubled, f"applied twice: {doubled[0]}"


def check_order(world: "World") -> None:
    """A change that arrives after another's 202 follows it, among those of one customer.

    The design's exception: a door that cannot reach PostgreSQL, while another cannot reach Kafka, goes by what it knew.
    """
    first = places(world)
    seen = [one for one in world.acknowledged if (one.event_id, one.customer_id) not in world.blind]
    for one, two in itertools.product(world.acknowledged, seen):
        if one.customer_id == two.customer_id and one.answered < two.arrived and one.event_id != two.event_id:
            before, after = first[one.event_id, one.customer_id], first[two.event_id, two.customer_id]
            assert before.offset < after.offset, f"overtaken: {two.event_id} stands before {one.event_id}"


def deliveries(world: "World", told: Told) -> list[Sent]:
    """Read the log as the model takes it, in the order of the ledger, without a line of Licet's reading."""
    index = {(row["partition"], row["offset"]): number for number, row in enumerate(told.ledger)}
    sent = []
    for place in index:
        record = world.topic.records[place[0]][place[1]]
        if place in world.rubbish:
            sent.append(Sent(0, "", "", dt.datetime.min.replace(tzinfo=dt.UTC), None))
            continue
        headers = {name: value.decode() for name, value in record.headers}
        _, partition, offset = headers.get(REPLAY_OF, "//").split("/")
        sent.append(
            Sent(
                customer=int((record.key or b"").decode().rpartition("-")[2]),
                event_id=headers["ce_id"],
                source=headers["ce_source"],
                received=dt.datetime.fromisoformat(headers["ce_time"]),
                payload=json.loads(record.value or b""),
                replay_of=index.get((int(partition), int(offset)), -1) if partition else None,
            )
        )
    return sent
