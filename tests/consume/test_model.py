"""The projector on PostgreSQL agrees with the naive model of design §4, however the log is cut into batches."""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consume.deliveries import CUSTOM, DEFAULT, RUBBISH, deliveries, split
from consume.model import Mapping, Model, Row, Sent
from licet.queue.message import Record
from licet.store.projection import PostgresProjection
from support.world import Log, Reader, Road, apply_catalog, fresh, reader

CUSTOM_FIELDS = pathlib.Path(__file__).parents[2] / "docs/examples/custom-fields.toml"
MAPPINGS = {"default": DEFAULT, "custom": CUSTOM}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A store under one catalog, and the catalog as the model knows it."""

    projection: PostgresProjection
    reader: Reader
    mapping: Mapping

    def ask(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        return self.reader.execute(query.encode(), parameters).fetchall()


@pytest.fixture(scope="module", params=list(MAPPINGS))
def setting(request: pytest.FixtureRequest, shared_database: str) -> Iterator[Setting]:
    """The store under each catalog in turn."""
    if request.param == "custom":
        apply_catalog(shared_database, CUSTOM_FIELDS.read_text())
    projection = PostgresProjection(shared_database)
    with reader(shared_database) as connection_:
        yield Setting(projection, connection_, MAPPINGS[request.param])
    projection.close()


class Run:
    """One example: deliveries about customers of its own, applied by the model and by the real road."""

    def __init__(self, setting: Setting, sent: list[Sent], sizes: list[int]) -> None:
        self.setting, self.sent = setting, sent
        self.tag = fresh("run")
        self.log = Log(self.tag)
        self.records = self._records()
        road = Road(setting.projection, self.tag)
        self.outcomes = [word for batch in split(self.records, sizes) for word in road.apply(*batch)]
        self.revisions = [(batch.revision, len(batch.deliveries)) for batch in road.batches]
        first = road.batches[0].deliveries[0].sequence
        self.index_of = {first + index: index for index in range(len(sent))}
        self.ledger = self._ask("SELECT * FROM delivery WHERE log = %(tag)s ORDER BY sequence")
        self.licenses = self._ask("SELECT * FROM license WHERE starts_with(customer_id, %(tag)s) ORDER BY sku, valid")
        stored = self._ask("SELECT * FROM customer WHERE starts_with(customer_id, %(tag)s)")
        self.customers = {self.number(row["customer_id"]): row for row in stored}

    def number(self, customer_id: str) -> int:
        return int(customer_id.rpartition("-")[2])

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

    def _ask(self, query: str) -> list[dict[str, Any]]:
        return self.setting.ask(query, tag=self.tag)

    def aliases(self) -> dict[str, int]:
        found = self._ask(
            "SELECT alias, customer_id FROM customer_alias WHERE starts_with(customer_id, %(tag)s)"
            " AND upper_inf(valid) AND upper_inf(recorded)"
        )
        return {row["alias"].removesuffix(f"/{self.tag}"): self.number(row["customer_id"]) for row in found}

    def history(self, revision: int | None = None) -> dict[tuple[int, str], list[Row]]:
        """What was believed at a revision (None: now), first to last; checks that it tiles time without a hole."""
        found: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for row in self.licenses:
            believed = row["recorded"].upper is None if revision is None else revision in row["recorded"]
            if believed:
                found.setdefault((self.number(row["customer_id"]), row["sku"]), []).append(row)
        for believed_rows in found.values():
            for one, two in itertools.pairwise(believed_rows):
                assert one["valid"].upper == two["valid"].lower
                assert one["closed_delivery"] == two["opened_delivery"]
            assert believed_rows[-1]["valid"].upper is None
            assert believed_rows[-1]["closed_delivery"] is None
        return {key: self._plain(believed_rows) for key, believed_rows in found.items()}

    def _plain(self, believed: list[dict[str, Any]]) -> list[Row]:
        ids = list(dict.fromkeys(row["license_id"] for row in believed))
        return [
            Row(
                status=row["status"],
                starts=row["starts_at"],
                ends=row["ends_at"],
                quantity=row["quantity"],
                since=row["valid"].lower,
                opened_by=self.index_of[row["opened_delivery"]],
                generation=1 + ids.index(row["license_id"]),
            )
            for row in believed
        ]


def run_model(mapping: Mapping, sent: list[Sent]) -> tuple[Model, list[dict[tuple[int, str], list[Row]]]]:
    """Run the model; returns it and each license's rows after each delivery."""
    model = Model(mapping)
    steps = []
    for one in sent:
        model.deliver(one)
        steps.append(
            {
                (number, sku): list(held)
                for number, customer in model.customers.items()
                for sku, held in customer.rows.items()
                if held
            }
        )
    return model, steps


def check_state(run: Run, model: Model) -> None:
    assert run.outcomes == model.outcomes
    assert set(run.customers) == set(model.customers)
    for number, customer in model.customers.items():
        stored = run.customers[number]
        fields = {name: field[0] for name, field in stored["fields"].items()}
        expected = {name: writes[-1].value for name, writes in customer.writes.items()}
        tenant = expected.get("Tenant_Id__c")
        if tenant:
            expected["Tenant_Id__c"] = f"{tenant}/{run.tag}"
        assert repr(sorted(fields.items())) == repr(sorted(expected.items()))
        assert stored["deleted"] == customer.deleted
        assert stored["name"] == (customer.value("Name") or None)
    assert run.aliases() == model.aliases


def check_beliefs(run: Run, steps: list[dict[tuple[int, str], list[Row]]]) -> None:
    """What the store believed after each batch is what the model said after the batch's last delivery."""
    assert run.history() == steps[-1]
    done = 0
    for revision, size in run.revisions:
        done += size
        assert run.history(revision) == steps[done - 1]


def check_ledger(run: Run, model: Model) -> None:
    places = [(row["partition"], row["offset"]) for row in run.ledger]
    assert places == [(record.partition, record.offset) for record in run.records]
    assert [row["sequence"] for row in run.ledger] == list(run.index_of)
    mine = {"first": min(run.index_of), "last": max(run.index_of)}
    query = "SELECT * FROM dead_letter WHERE sequence BETWEEN %(first)s AND %(last)s"
    dead = {row["sequence"]: row for row in run.setting.ask(query, **mine)}
    for row, record, sent in zip(run.ledger, run.records, run.sent, strict=True):
        assert (row["sequence"] in dead) == (row["outcome"] == "dead")
        if row["outcome"] == "dead":
            kept = dead[row["sequence"]]
            assert (kept["key"], kept["value"]) == (record.key, record.value)
        assert row["payload"] == record.value
        original = None if sent.replay_of in {None, -1} else sent.replay_of
        assert (run.index_of[row["replay_of"]] if row["replay_of"] else None) == original
    query = "SELECT revision, subject FROM change_feed WHERE revision BETWEEN %(first)s AND %(last)s"
    feed = run.setting.ask(query, first=run.revisions[0][0], last=run.revisions[-1][0])
    seen = {(row["revision"], run.number(row["subject"])) for row in feed}
    done, expected = 0, set()
    for revision, size in run.revisions:
        expected |= {(revision, number) for touched in model.touched[done : done + size] for number in touched}
        done += size
    assert seen == expected


sizes = st.lists(st.integers(1, 7), min_size=1, max_size=4)


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
        check_state(run, model)
        check_beliefs(run, steps)
        check_ledger(run, model)
