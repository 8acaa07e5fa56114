"""Any bytes at all on the topic: each record ends in exactly one outcome, and those beside it are applied."""

from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from consume.deliveries import RUBBISH
from consume.rogues import HEADERS, ROGUES
from support.stores import Store
from support.world import Applying, Log, fresh

PER_BATCH = 10
_text = st.text(max_size=12)
_values = st.one_of(
    st.none(),
    st.binary(max_size=80),
    st.sampled_from(RUBBISH),
    st.sampled_from([value for _, value, _ in ROGUES.values()]),
    st.dictionaries(_text | st.sampled_from(["Id", "Name", "SKU1", "EventId"]), _text | st.booleans(), max_size=4).map(
        lambda said: repr(said).replace("'", '"').replace("True", "true").replace("False", "false").encode()
    ),
)
_known = st.sampled_from([name for name, _ in HEADERS] + ["licet-replay-of", "licet-compared-at", "traceparent"])
_headers = st.one_of(
    st.just(HEADERS),
    st.lists(st.tuples(_known | _text, st.binary(max_size=40)), max_size=6),
    st.lists(st.sampled_from(HEADERS), max_size=8),
    st.tuples(_known, st.binary(max_size=40)).map(lambda one: [*HEADERS, one]),
)
_records = st.tuples(st.none() | st.binary(max_size=20) | st.just(b"acme"), _values, _headers)
Rogue = tuple[bytes | None, bytes | None, Any]


def check_records(store: Store, rogues: list[Rogue]) -> None:
    """Apply a batch of rogues with one honest change at its end."""
    log = Log()
    road = Applying(store.projection, log.name)
    customer = fresh("honest")
    records = [log.raw(key, value, [(name, said) for name, said in headers]) for key, value, headers in rogues]
    outcomes = road.apply(*records, log.change({"Id": customer, "SignedTos": True, "SKU1": True}))
    assert len(outcomes) == len(records) + 1
    assert outcomes[-1] == "applied"
    ledger = store.look.ledger(log.name)
    assert [row["offset"] for row in ledger] == list(range(len(records) + 1))
    assert [row["payload"] for row in ledger[:-1]] == [record.value for record in records]
    assert not [outcome for outcome in outcomes if outcome == "dead(inapplicable)"], "read, and then not applied"


def fuzz_topic(store: Store, records: int, seed: int) -> int:
    """Try so many records, in batches; returns how many there were."""
    seen = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=max(1, records // PER_BATCH),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(st.lists(_records, min_size=PER_BATCH, max_size=PER_BATCH))
    def run(rogues: list[Rogue]) -> None:
        nonlocal seen
        seen += len(rogues)
        check_records(store, rogues)

    run()
    return seen
