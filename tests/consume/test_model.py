"""The projector agrees with the naive model of design §4, on either store, however the log is cut into batches."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consume.agreement import Histories, Told, check_state, run_model
from consume.deliveries import CUSTOM, DEFAULT, RUBBISH, deliveries, split
from consume.model import Mapping, Model, Sent
from licet.queue.message import Record
from licet.store.migrate import default_catalog
from support.stores import Store, memory_store, postgres_store
from support.world import Applying, Log, fresh

CUSTOM_FIELDS = pathlib.Path(__file__).parents[2] / "docs/examples/custom-fields.toml"
MAPPINGS = {"default": DEFAULT, "custom": CUSTOM}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A store under one catalog, and the catalog as the model knows it."""

    store: Store
    mapping: Mapping


@pytest.fixture(scope="module", params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The simulation's store, and the one that is run."""
    if request.param == "memory":
        yield memory_store(default_catalog())
        return
    with postgres_store(request.getfixturevalue("shared_database")) as running:
        yield running


@pytest.fixture(scope="module", params=list(MAPPINGS))
def setting(request: pytest.FixtureRequest, store: Store) -> Setting:
    """The store under each catalog in turn."""
    store.apply_catalog(CUSTOM_FIELDS.read_text() if request.param == "custom" else default_catalog())
    return Setting(store, MAPPINGS[request.param])


class Run:
    """One example: deliveries about customers of its own, applied by the real road."""

    def __init__(self, setting: Setting, sent: list[Sent], sizes: list[int]) -> None:
        self.setting, self.sent = setting, sent
        self.tag = fresh("run")
        self.log = Log(self.tag)
        self.records = self._records()
        road = Applying(setting.store.projection, self.tag)
        self.outcomes = [word for batch in split(self.records, sizes) for word in road.apply(*batch)]
        self.revisions = [(batch.revision, len(batch.deliveries)) for batch in road.batches]
        self.told = Told(setting.store.look, self.tag, self.tag, f"/{self.tag}")

    def _records(self) -> list[Record]:
        records: list[Record] = []
        for one in self.sent:
            place = records[one.replay_of].place if one.replay_of not in {None, -1} else f"{self.tag}/7/7"
            said = self._payload(one)
            records.append(
                self.log.change(
                    said,
                    event_id=one.event_id,
                    source=f"{self.tag}-{one.source}",
                    received=one.received,
                    replay_of=place if one.replay_of is not None else None,
                    key=f"{self.tag}-{one.customer}",
                    partition=one.customer % 2,
                )
            )
        return records

    def _payload(self, one: Sent) -> dict[str, Any] | bytes:
        if one.payload is None:
            return RUBBISH[one.raw]
        said = {"Id": f"{self.tag}-{one.customer}", **one.payload}
        tenant = said.get("Tenant_Id__c")
        return {**said, "Tenant_Id__c": f"{tenant}/{self.tag}"} if tenant else said


def check_beliefs(run: Run, steps: list[Histories]) -> None:
    """What the store believed after each batch is what the model said after the batch's last delivery."""
    assert run.told.history() == steps[-1]
    done = 0
    for revision, size in run.revisions:
        done += size
        assert run.told.history(revision) == steps[done - 1]


def check_ledger(run: Run, model: Model) -> None:
    told, look = run.told, run.setting.store.look
    places = [(row["partition"], row["offset"]) for row in told.ledger]
    assert places == [(record.partition, record.offset) for record in run.records]
    assert run.outcomes == told.outcomes
    first = told.ledger[0]["sequence"]
    assert list(told.index_of) == list(range(first, first + len(run.sent)))
    dead = look.dead(first, first + len(run.sent) - 1)
    for row, record, sent in zip(told.ledger, run.records, run.sent, strict=True):
        assert (row["sequence"] in dead) == (row["outcome"] == "dead")
        if row["outcome"] == "dead":
            kept = dead[row["sequence"]]
            assert (kept["key"], kept["value"]) == (record.key, record.value)
        assert row["payload"] == record.value
        original = None if sent.replay_of in {None, -1} else sent.replay_of
        assert (told.index_of[row["replay_of"]] if row["replay_of"] else None) == original
    seen = {(revision, told.number(who)) for revision, who in look.feed(run.revisions[0][0], run.revisions[-1][0])}
    done, expected = 0, set()
    for revision, size in run.revisions:
        expected |= {(revision, number) for touched in model.touched[done : done + size] for number in touched}
        done += size
    assert seen == expected


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@pytest.mark.storm
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), cuts=sizes, other_cuts=sizes)
def test_the_road_ends_every_delivery_as_the_model_does_however_the_log_is_cut(
    setting: Setting, data: st.DataObject, cuts: list[int], other_cuts: list[int]
) -> None:
    sent = data.draw(deliveries(setting.mapping))
    model, steps = run_model(setting.mapping, sent)
    # The second reads the same log from its start under another name, about customers of its own.
    for cut in (cuts, other_cuts):
        run = Run(setting, sent, cut)
        check_state(run.told, model)
        check_beliefs(run, steps)
        check_ledger(run, model)
