"""The SDK in process: ``allowed()`` and ``check()`` beside a dict look-up and beside three other SDKs.

A request asks about the features of its page, all of one customer, drawn by chance. Of a million customers the first
of these questions finds nearly all that it touches in main memory; "cold" rows ask that question alone, and are held to
the same bars. A dict look-up waits longer. The names are made anew for each round, as a request's are.
"""

import dataclasses
import gc
import json
import os
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from benches.machine import Machine
from benches.table import Row, Skipped, below, interleaved
from licet_sdk.core import Core
from licet_sdk.link import Snapshot

FEW, MANY = 1_000, 1_000_000
BATCH, ROUNDS = 500, 101
_STATUSES = (*["active"] * 14, *["ended"] * 4, "pending_terms", "suspended")
_DAY = 86_400_000_000
_NOW = int(time.time()) * 1_000_000
_ENDS = (None, None, *(_NOW + days * _DAY for days in range(-180, 900, 30)))  # contracts end with a month
PAGE = ("inbound-email-security", "outbound-email-security", "archive", "reports", "single-sign-on")
_GRANTS = [["SKU1", True], ["SKU2", True]]
_CATALOG = {"version": 1, "features": {name: {"title": "", "grants": _GRANTS} for name in PAGE}}
Ask = Callable[[str, str], Any]  # feature, name of a customer or user


def run(machine: Machine) -> list[Row]:
    """Measure on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {machine.server})
    try:
        return [*_sizes(), *_others()]
    finally:
        os.sched_setaffinity(0, before)


def _name(number: int) -> str:
    return f"0015g{number:013d}"


def _lines(customers: int) -> Iterator[bytes]:
    """Write a snapshot: three SKUs each, one end of contract per customer."""
    dice = random.Random(1)
    head = {"licet": "snapshot", "format": 1, "position": "p.1.t", "revision": 1, "catalog": _CATALOG, "age_ms": 0}
    yield json.dumps(head).encode()
    for number in range(customers):
        ends = dice.choice(_ENDS)
        licenses = [
            [sku, dice.choice(_STATUSES), None, ends, None, str(uuid.UUID(int=dice.getrandbits(128))), _NOW - number]
            for sku in ("SKU1", "SKU2", "SKU3")
        ]
        yield json.dumps({"c": _name(number), "a": [], "l": licenses}).encode()
    for number in range(customers // 10):
        yield json.dumps({"u": f"user{number}@acme.example", "c": [_name(number * 10)]}).encode()
    yield json.dumps({"end": True, "customers": customers, "users": customers // 10, "domains": 0}).encode()


def _resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 one number
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _load(customers: int) -> tuple[Core, float, float]:
    """Return the core, the processor seconds of loading without those of writing, and bytes per customer."""
    writing = time.process_time()
    for _ in _lines(customers):
        pass
    writing = time.process_time() - writing
    gc.collect()
    core, snapshot, before, began = Core(), Snapshot(), _resident(), time.process_time()
    for line in _lines(customers):
        snapshot.line(line)
    seconds = time.process_time() - began - writing
    assert snapshot.whole is not None
    core.replace(snapshot.whole[1], 0)
    return core, seconds, (_resident() - before) / customers


def _timed(ask: Ask, names: Sequence[str], features: Sequence[str]) -> float:
    fresh = ["".join(list(name)) for name in names]  # equal to the kept names, yet other objects
    began = time.process_time()  # of a busy machine's time only our own
    for name in fresh:
        for feature in features:
            ask(feature, name)
    return (time.process_time() - began) / (len(names) * len(features)) * 1e9


def _nothing(feature: str, name: str) -> None:
    """Stand for the loop and the call around each question, which are not the SDK's."""


def _medians(asks: Sequence[Ask], names: Sequence[Callable[[], str]], features: Sequence[str]) -> list[float]:
    """Return each one's nanoseconds a question, the rounds taken by turns."""
    runs = [
        partial(lambda ask, name: _timed(ask, [name() for _ in range(BATCH)], features), ask, name)
        for ask, name in zip((_nothing, *asks), (names[0], *names), strict=True)
    ]
    empty, *times = interleaved(ROUNDS, *runs)
    return [statistics.median(one) - statistics.median(empty) for one in times]


def _sizes() -> list[Row]:
    rows = []
    for customers in (FEW, MANY):
        core, seconds, size = _load(customers)
        said = f"{customers:,} customers"
        rows += _asked(core, customers, PAGE, said)
        if customers == MANY:
            rows += _asked(core, customers, PAGE[:1], f"{said}, cold")
            loaded = Row(what=f"sdk load, {said}, 3 SKUs each", measured=seconds, unit="s", note="processor time")
            kept = Row(what="sdk memory", measured=size, unit="bytes a customer", note="and 0.1 users each")
            rows += [below(loaded, 15), below(kept, 300)]
        del core
        gc.collect()
    return rows


def _asked(core: Core, customers: int, features: Sequence[str], said: str) -> list[Row]:
    plain = dict.fromkeys((_name(number) for number in range(customers)), True)

    def customer() -> str:
        return _name(random.randrange(customers))

    def user() -> str:
        return f"user{random.randrange(customers // 10)}@acme.example"

    asks: Sequence[Ask] = (
        lambda _, name: plain[name],
        lambda feature, name: core.allowed(feature, customer=name),
        lambda feature, name: core.check(feature, customer=name),
        lambda feature, name: core.allowed(feature, user=name),
    )
    names = (customer, customer, customer, user)
    _medians(asks, names, features)  # each profile is judged once
    limit, *times = _medians(asks, names, features)
    rows = [
        Row(what=f"sdk {what}, {said}", measured=nanos, unit="ns", limit=limit, ratio=nanos / limit)
        for what, nanos in zip(("allowed()", "check()", "allowed() by user"), times, strict=True)
    ]
    return [below(rows[0], 500), below(rows[1], 1000), rows[2]]


def _others() -> list[Row]:
    """Set one flag behind one rule on another attribute, which is less than what Licet does, beside Licet."""
    found: dict[str, Ask] = {}
    missing = []
    built = {"LaunchDarkly": _launchdarkly, "GrowthBook": _growthbook, "OpenFeature in-memory": _openfeature}
    for name, build in built.items():
        try:
            found[name] = build()
        except ImportError as error:
            missing.append(f"{name} ({error.name})")
    if not found:
        raise Skipped("none of the other SDKs is here: pip install -r requirements-bench.txt")
    core, _, _ = _load(FEW)
    asks: list[Ask] = [
        lambda feature, name: core.allowed(feature, customer=name),
        lambda feature, name: core.check(feature, customer=name),
        *found.values(),
    ]
    names = [lambda: _name(random.randrange(FEW))] * len(asks)
    _medians(asks[:2], names[:2], PAGE[:1])
    allowed, check, *others = _medians(asks, names, PAGE[:1])
    rows = [Row(what=f"{name}, a flag", measured=nanos, unit="ns") for name, nanos in zip(found, others, strict=True)]
    note = f"limit: the fastest of these{'; LEFT OUT ' + ', '.join(missing) if missing else ''}"
    for what, nanos in (("allowed()", allowed), ("check()", check)):
        row = Row(what=f"sdk {what} beside these", measured=nanos, unit="ns", limit=min(others), note=note)
        rows.append(dataclasses.replace(row, ratio=min(others) / nanos, bar=">= 300%", ok=min(others) >= 3 * nanos))
    return rows


def _launchdarkly() -> Ask:
    import ldclient  # noqa: PLC0415 may be missing
    from ldclient.config import Config  # noqa: PLC0415 likewise
    from ldclient.integrations.test_data import TestData  # noqa: PLC0415 likewise

    data = TestData.data_source()
    data.update(
        data.flag(PAGE[0]).boolean_flag().if_match("plan", "pro").then_return(True).fallthrough_variation(False)
    )
    client = ldclient.LDClient(Config("offline", update_processor_class=data, send_events=False))
    context = ldclient.Context.builder("ada").set("plan", "pro").build()
    return _repeated(lambda: client.variation(PAGE[0], context, False))


def _growthbook() -> Ask:
    from growthbook import GrowthBook  # noqa: PLC0415 may be missing

    rules = {PAGE[0]: {"defaultValue": False, "rules": [{"condition": {"plan": "pro"}, "force": True}]}}
    book: Any = GrowthBook(attributes={"id": "ada", "plan": "pro"}, features=rules)
    return _repeated(lambda: book.is_on(PAGE[0]))


def _openfeature() -> Ask:
    from openfeature import api  # noqa: PLC0415 may be missing
    from openfeature.evaluation_context import EvaluationContext  # noqa: PLC0415 likewise
    from openfeature.flag_evaluation import FlagResolutionDetails  # noqa: PLC0415 likewise
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider  # noqa: PLC0415 likewise

    def rule(_: Any, context: EvaluationContext) -> FlagResolutionDetails[bool]:
        return FlagResolutionDetails(value=context.attributes.get("plan") == "pro", variant="on")

    flag = InMemoryFlag("off", {"on": True, "off": False}, context_evaluator=rule)
    api.set_provider_and_wait(InMemoryProvider({PAGE[0]: flag}))
    client, context = api.get_client(), EvaluationContext("ada", {"plan": "pro"})
    return _repeated(lambda: client.get_boolean_value(PAGE[0], False, context))


def _repeated(question: Callable[[], Any]) -> Ask:
    """Ask the same each time, the context ready: the best case of the others."""
    assert question() is True
    return lambda _feature, _name: question()
