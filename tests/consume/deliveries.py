"""Sequences of deliveries, as strategies: everything that design §4 tells apart happens in them."""

import dataclasses
import datetime as dt
import itertools
from typing import Any

from hypothesis import strategies as st

from consume.model import Mapping, Sent, Sku
from support.world import NOON, at

DEFAULT = Mapping(
    skus={name: Sku(name) for name in ("SKU1", "SKU2", "SKU3")},
    terms="SignedTos",
    texts=frozenset({"Name", "AccountManager", "SalesEngineerId"}),
)
CUSTOM = Mapping(
    skus={"SKU1": Sku("SKU1__c", "SKU1_From__c", "SKU1_Until__c", "SKU1_Seats__c"), "SKU2": Sku("SKU2__c")},
    terms=None,
    texts=frozenset({"Name", "OwnerName__c", "SalesEngineer__c", "EmailDomain__c", "Tenant_Id__c"}),
    zone="Europe/Paris",
    alias=("tenant", "Tenant_Id__c"),
    excluded=("Type", "Test"),
)

# What stands in the log and is no change: no UTF-8, no JSON, no object, no customer, a wrong type, unstorable text,
# a number nobody can read, brackets without end, JSON that two readers read differently.
RUBBISH = (
    b"\xff\xfe",
    b"",
    b"{",
    b"[]",
    b"{}",
    b'{"Id":"somebody","Name":7}',
    b'{"Id":"somebody","Extra":"\\u0000"}',
    b'{"Id":"somebody","Extra":"\\ud800"}',
    b'{"Id":"somebody","Extra":' + b"9" * 5000 + b"}",
    b'{"Id":"somebody","Extra":' + b"[" * 40 + b"]" * 40 + b"}",
    b'{"Id":"somebody","Id":"another"}',
    b'{"Id":"somebody","Extra":NaN}',
)

_FLAGS = [True, True, False, None]
_TEXTS = ["a", "b", "", None]
_FREE: list[Any] = [1, 1.0, True, False, None, "", "é\t\\n", 2**70, 1e22, -0.0, [1, {"b": 2, "a": 1}], {}]
_DATES = [None, "2026-03-29", "2026-10-25", "9999-12-31", "2026-03-01T09:00:00.000Z", "2026-05-01T00:00:00.000+0200"]


def values(mapping: Mapping) -> dict[str, list[Any]]:
    """Return, per field, the values that a sender picks from."""
    found: dict[str, list[Any]] = {sku.flag: _FLAGS for sku in mapping.skus.values()}
    found |= {"IsDeleted": [True, False, False, False, None], "Name": _TEXTS, "Extra": _FREE, "SKU9": _FLAGS}
    if mapping.terms:
        found[mapping.terms] = _FLAGS
    for sku in mapping.skus.values():
        for field in (sku.start, sku.until):
            if field:
                found[field] = _DATES
        if sku.quantity:
            found[sku.quantity] = [0, 5, 2**63 - 1, None]
    if mapping.alias:
        found[mapping.alias[1]] = ["4711", "4712", "no alias", "", None]
    if mapping.excluded:
        found[mapping.excluded[0]] = ["Test", "Customer", "Customer", None]
    return found


# None: the sender has no clock. 30 and more: further in the future than a day.
_hours = st.sampled_from([None, None, None, 0, 1, 2, 3, 4, 5, 6, 40])
_steps = st.sampled_from(["new"] * 12 + ["again", "again", "reused", "rubbish", "replay", "replay", "replay", "lost"])


@st.composite
def deliveries(draw: st.DrawFn, mapping: Mapping, longest: int = 24) -> list[Sent]:
    """Draw up to ``longest`` deliveries about three customers."""
    optional = {name: st.sampled_from(pool) for name, pool in values(mapping).items()}
    payloads = st.fixed_dictionaries({}, optional=optional)
    sent: list[Sent] = []
    for index in range(draw(st.integers(1, longest))):
        step = draw(_steps)
        earlier = draw(st.sampled_from(sent)) if sent else None
        if step in {"new", "lost"} or earlier is None:
            sent.append(_new(draw, index, payloads, lost=step == "lost"))
        elif step == "rubbish":
            raw = draw(st.integers(0, len(RUBBISH) - 1))
            sent.append(Sent(draw(st.integers(0, 2)), f"e{index}", "a", at(index / 60), None, raw))
        elif step == "again":  # arrives once more, as after a time-out
            sent.append(_with(earlier, replay_of=None, received=at(index / 60)))
        elif step == "reused" and earlier.payload is not None:
            sent.append(_with(_new(draw, index, payloads), event_id=earlier.event_id, customer=earlier.customer))
        else:  # a person or the door asks for it again
            sent.append(_with(earlier, replay_of=draw(st.sampled_from(_places(sent, earlier)))))
    return sent


def _new(draw: st.DrawFn, index: int, payloads: st.SearchStrategy[dict[str, Any]], *, lost: bool = False) -> Sent:
    payload = draw(payloads)
    hours = draw(_hours)
    if hours is not None:
        payload["SystemModstamp"] = (NOON + dt.timedelta(hours=hours)).isoformat()
    return Sent(
        customer=draw(st.integers(0, 2)),
        event_id=f"e{index}",
        source=draw(st.sampled_from(["a", "b"])),
        received=at(draw(st.sampled_from([0, 2, 3, 3, 4])) + index / 60),
        payload=payload,
        replay_of=-1 if lost else None,
    )


def _with(sent: Sent, **changes: Any) -> Sent:
    return dataclasses.replace(sent, **changes)


def _places(sent: list[Sent], earlier: Sent) -> list[int]:
    """Where the change arrived for the first time; a replay of a replay names the first arrival too."""
    return [sent.index(earlier) if earlier.replay_of in {None, -1} else earlier.replay_of or 0]


def split(sent: list[Any], sizes: list[int]) -> list[list[Any]]:
    """Cut deliveries into batches of these sizes, over and over."""
    batches: list[list[Any]] = []
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(sent):
            return batches
        batches.append(sent[start : start + size])
        start += size
    return batches
