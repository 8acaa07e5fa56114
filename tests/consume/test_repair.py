"""A repair brings the store to an export, and reverts nothing that is newer than the export."""

import datetime as dt
import pathlib
import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consume.test_verify import verified
from licet.bootstrap.desks import customer_desk, drift_desk
from licet.bootstrap.store import utc_now
from licet.consume.fold import World, fold
from licet.consume.read import Readable, read_record
from licet.domain.catalog import read_catalog
from licet.domain.drift import Drift
from licet.domain.errors import InvalidInput, Unavailable
from licet.domain.fields import Field, microseconds
from licet.manage.repair import Orders
from licet.queue.message import Message, Record
from licet.settings import Settings
from licet.store.migrate import default_catalog
from licet.store.ports import CustomerState
from licet.store.values import Reconciliation
from support.properties import quick
from support.world import TESTER, Log, Road, at, fresh, rows

PLANNED, DELETION = "planned", "deletion planned"
CHANGED_SINCE = "held back: changed since"


class Silent:
    """A progress bar that nobody watches."""

    def begins(self, what: str, whole: int) -> None:
        pass

    def told(self, more: int) -> None:
        pass


class Place:
    """A database, and the applier of a log; repairs wait to be applied."""

    def __init__(self, url: str, folder: pathlib.Path) -> None:
        self.url, self.folder = url, folder
        self.log = Log()
        self.road = Road(url, self.log.name)
        self.waiting: list[Message] = []

    def send(self, customer: str, said: dict[str, Any], time: dt.datetime | None = None) -> list[str]:
        stamp = {"SystemModstamp": time.isoformat()} if time is not None else {}
        return self.road.apply(self.log.change({"Id": customer, **said, **stamp}, received=utc_now()))

    def repair(
        self, lines: Sequence[dict[str, Any]], bar: Any = None, **options: Any
    ) -> tuple[Reconciliation, list[Drift]]:
        """Reconcile with an export of these lines; what is published waits."""
        file = self.folder / f"{fresh('full')}.jsonl"
        file.write_bytes(b"\n".join(map(msgspec.json.encode, [*lines, {"#rows": len(lines)}])))
        seen: list[Drift] = []
        orders = Orders(**{"append": self.waiting.extend, "clock": utc_now, **options})
        return drift_desk(Settings(database_url=self.url)).reconcile(
            file, TESTER, None, seen.extend, bar or Silent(), orders
        ), seen

    def apply(self) -> list[str]:
        """Apply what waits."""
        taken, self.waiting = self.waiting, []
        records = [self.log.raw(one.key.encode(), one.value, one.headers()) for one in taken]
        return self.road.apply(*records) if records else []

    def stored(self) -> dict[str, dict[str, Field]]:
        """Return the fields of every customer."""
        found = rows(self.url, "SELECT customer_id, fields::text AS fields FROM customer")
        return {row["customer_id"]: msgspec.json.decode(row["fields"], type=dict[str, Field]) for row in found}

    def values(self, customer: str) -> dict[str, Any]:
        return {name: field.value for name, field in self.stored().get(customer, {}).items()}


class Meanwhile(Silent):
    """Something happens to a customer once it is compared, and before the first repair is published."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def begins(self, what: str, whole: int) -> None:
        if what == "repairs":
            assert whole > 0
            self._place.send("acme", {"SKU1": True})


@pytest.fixture
def place(database: str, tmp_path: pathlib.Path) -> Iterator[Place]:
    built = Place(database, tmp_path)
    yield built
    built.road.close()


def of(seen: Sequence[Drift]) -> dict[str, str | None]:
    return {drift.customer: drift.repair for drift in seen}


def test_missing_different_and_revived_customers_are_repaired_and_a_second_run_publishes_nothing(place: Place) -> None:
    place.send("acme", {"Name": "old", "SKU1": False}, at(1))
    place.send("gone", {"Name": "Gone", "IsDeleted": True}, at(1))
    place.send("left", {"Name": "Left"}, at(1))
    stamp = {"SystemModstamp": at(2).isoformat()}
    lines: list[dict[str, Any]] = [
        {"Id": "acme", "Name": "new", "SKU1": True, **stamp},
        {"Id": "beta", "Name": "Beta", "SKU1": None, **stamp},
        {"Id": "gone", "Name": "Back", **stamp},
        {"Id": "left", "IsDeleted": True, **stamp},
    ]
    kept, seen = place.repair(lines)
    assert (kept.repaired, kept.held_back, set(of(seen).values())) == (4, 0, {PLANNED})
    again, _ = place.repair(lines)
    assert again.repaired == 4
    assert place.apply() == ["applied"] * 4 + ["ignored(duplicate)"] * 4
    assert place.values("acme") == {"Name": "new", "SKU1": True}
    assert place.values("beta") == {"Name": "Beta"}
    assert place.values("gone") == {"Name": "Back", "IsDeleted": False}
    assert place.values("left")["IsDeleted"] is True
    last, seen = place.repair(lines)
    assert (last.repaired, seen, place.waiting) == (0, [], [])
    assert verified(place.url).faults == []


def test_a_second_repair_with_other_content_is_no_duplicate(place: Place) -> None:
    place.send("acme", {"Name": "a"}, at(1))
    for name in ("b", "c"):
        place.repair([{"Id": "acme", "Name": name, "SystemModstamp": at(2).isoformat()}])
    assert len({one.event_id for one in place.waiting}) == 2
    assert place.apply() == ["applied", "applied"]
    place.send("acme", {"Name": "b"}, at(2))  # and drifts back to what was repaired before
    place.repair([{"Id": "acme", "Name": "c", "SystemModstamp": at(2).isoformat()}])
    assert place.apply() == ["applied"]
    assert place.values("acme") == {"Name": "c"}


def test_a_field_that_was_written_since_the_comparison_stays_whatever_its_time(place: Place) -> None:
    place.send("acme", {"Name": "old", "AccountManager": "old", "SalesEngineerId": "old"}, at(1))
    row = {"Id": "acme", "Name": "full", "AccountManager": "full", "SalesEngineerId": "full"}
    place.repair([{**row, "SystemModstamp": at(9).isoformat()}])
    place.send("acme", {"Name": "untimed"})
    place.send("acme", {"SalesEngineerId": "late, and older than the export"}, at(8))
    assert place.apply() == ["applied"]
    assert place.values("acme") == {
        "Name": "untimed",
        "AccountManager": "full",
        "SalesEngineerId": "late, and older than the export",
    }
    assert verified(place.url).faults == []


def test_what_changes_before_its_repair_is_published_is_told_and_left(place: Place) -> None:
    for customer in ("acme", "beta"):
        place.send(customer, {"Name": "old"}, at(1))

    lines = [{"Id": one, "Name": "full"} for one in ("acme", "beta")]
    kept, seen = place.repair(lines, Meanwhile(place), exported_at=utc_now())
    assert [(one.customer, one.repair) for one in seen][2:] == [("acme", CHANGED_SINCE)]
    assert (kept.repaired, kept.held_back, len(place.waiting)) == (1, 1, 1)
    [entry] = rows(place.url, "SELECT after FROM audit_entry WHERE before IS NOT NULL")
    assert entry["after"] == {"published": 1, "held back": 1}


def test_where_nothing_is_left_to_publish_the_queue_is_not_asked(place: Place) -> None:
    place.send("acme", {"Name": "old"}, at(1))

    asked: list[Sequence[Message]] = []
    kept, _ = place.repair(
        [{"Id": "acme", "Name": "full"}], Meanwhile(place), exported_at=utc_now(), append=asked.append
    )
    assert (kept.repaired, kept.held_back, asked) == (0, 1, [])


@pytest.mark.parametrize("touched", ["Name", "SKU1", "IsDeleted"])
def test_a_deletion_is_left_where_any_field_was_written_since(place: Place, touched: str) -> None:
    for customer in ("acme", "beta"):
        place.send(customer, {"Name": "old"}, at(1))
    exported = utc_now()
    kept, seen = place.repair([], exported_at=exported, delete_missing=True, max_share=100.0)
    assert (kept.repaired, of(seen)) == (2, {"acme": DELETION, "beta": DELETION})
    place.send("acme", {touched: touched == "SKU1" if touched != "Name" else "new"})
    assert sorted(place.apply()) == ["applied", "superseded"]
    assert place.values("acme").get("IsDeleted") is not True
    assert place.values("beta")["IsDeleted"] is True
    kept, seen = place.repair([], exported_at=exported, delete_missing=True, max_share=100.0)
    assert (kept.repaired, kept.held_back, of(seen)) == (0, 1, {"acme": CHANGED_SINCE})
    assert verified(place.url).faults == []


def test_an_export_that_was_cut_off_is_refused_before_anything_is_published(place: Place) -> None:
    for number in range(20):
        place.send(f"living-{number}", {"Name": "same"}, at(1))
        place.send(f"dead-{number}", {"Name": "same", "IsDeleted": True}, at(1))
    stamp = {"SystemModstamp": at(2).isoformat()}
    dead = [{"Id": f"dead-{number}", "IsDeleted": True, **stamp} for number in range(20)]
    new = [{"Id": f"new-{number}", **stamp} for number in range(20)]
    living = [{"Id": f"living-{number}", "Name": "other", **stamp} for number in range(20)]
    asked = {"exported_at": utc_now(), "delete_missing": True}
    with pytest.raises(InvalidInput, match="found 18 of the store's 20 living customers, expected at least 19"):
        place.repair([*dead, *new, *living[:18]], **asked)
    assert place.waiting == []
    assert rows(place.url, "SELECT FROM audit_entry") == []
    kept, _ = place.repair([*dead, *new, *living[:19]], **asked)
    assert (kept.repaired, kept.extra) == (40, 1)


def test_a_deletion_by_mistake_is_undone_by_an_export_whose_time_is_told_and_no_older_row(place: Place) -> None:
    place.send("acme", {"Name": "Acme"}, at(1))
    place.repair([], exported_at=utc_now(), delete_missing=True, max_share=100.0)
    assert place.apply() == ["applied"]
    row = {"Id": "acme", "Name": "Acme"}
    kept, seen = place.repair([{**row, "SystemModstamp": at(1).isoformat()}], exported_at=utc_now())
    assert (kept.repaired, of(seen)) == (0, {"acme": CHANGED_SINCE})
    place.repair([row], exported_at=utc_now())
    assert place.apply() == ["applied"]
    assert place.values("acme") == {"Name": "Acme", "IsDeleted": False}


def test_erased_customers_are_not_brought_back(place: Place) -> None:
    place.send("acme", {"Name": "Acme"}, at(1))
    customer_desk(Settings(database_url=place.url)).erase("acme", "asked for", TESTER)
    kept, seen = place.repair([{"Id": "acme", "Name": "Acme"}], exported_at=utc_now())
    assert (kept.repaired, kept.held_back, of(seen)) == (0, 1, {"acme": "held back: erased"})


def test_the_audit_has_the_plan_before_the_first_repair_and_then_what_came_of_it(place: Place) -> None:
    query = "SELECT before, after FROM audit_entry ORDER BY entry_id"
    at_first: list[Any] = []

    def refuses(messages: Sequence[Message]) -> None:
        assert len(messages) == 1
        at_first.extend(rows(place.url, query))
        raise Unavailable("a test")

    with pytest.raises(Unavailable):
        place.repair([{"Id": "acme", "Name": "Acme"}], exported_at=utc_now(), append=refuses)
    plan = {"revision": 1, "customers": {PLANNED: 1}}
    assert at_first == [{"before": None, "after": plan}]
    assert rows(place.url, query)[1:] == [{"before": plan, "after": {"published": 0, "held back": 0}}]
    assert rows(place.url, "SELECT missing, repaired FROM reconciliation") == [{"missing": 1, "repaired": 0}]


def test_rows_need_a_time_that_a_change_could_have_and_deletions_a_number_of_rows(place: Place) -> None:
    acme = {"Id": "acme", "Name": "Acme"}
    with pytest.raises(InvalidInput, match="line 1, SystemModstamp: found nothing"):
        place.repair([acme])
    with pytest.raises(InvalidInput, match="line 1, SystemModstamp: found 9"):
        place.repair([{**acme, "SystemModstamp": "9000-01-01T00:00:00Z"}])
    file = place.folder / "uncounted.jsonl"
    file.write_bytes(msgspec.json.encode(acme))
    orders = Orders(append=place.waiting.extend, clock=utc_now, exported_at=utc_now(), delete_missing=True)
    with pytest.raises(InvalidInput, match="found no number of rows"):
        drift_desk(Settings(database_url=place.url)).reconcile(file, TESTER, None, print, Silent(), orders)
    assert place.waiting == []


def test_a_row_as_old_as_the_deletion_lifts_no_tombstone(place: Place) -> None:
    place.send("acme", {"Name": "Acme"}, at(1))
    place.send("acme", {"IsDeleted": True}, at(2))
    kept, seen = place.repair([{"Id": "acme", "Name": "Acme", "SystemModstamp": at(2).isoformat()}])
    assert (kept.repaired, of(seen)) == (0, {"acme": CHANGED_SINCE})


# The property: random histories, of which some deliveries are lost.

VALUES: dict[str, Sequence[Any]] = {
    "Name": "abc",
    "AccountManager": ("x", "y", None),
    "SKU1": (True, False),
    "SKU2": (True, False),
}


class Account:
    """One account: what is true in Salesforce. ``since``: the fields of which Licet heard after the comparison."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.customer = fresh("any")
        self.truth: dict[str, Any] | None = None
        self.modified = utc_now()
        self.timed = dice.random() < 0.5  # most of its changes; others mix
        self.heard = False
        self.since: set[str] = set()

    def happens(self, place: Place) -> set[str]:
        """Let something happen; returns the fields that Licet heard of."""
        timed = self.timed if self.dice.random() < 0.8 else not self.timed
        if self.truth is None:
            said = {name: self.dice.choice(values) for name, values in VALUES.items()}
            if self.heard:
                said, timed = {**said, "IsDeleted": False}, True  # only a newer time lifts a tombstone
            self.truth = {name: value for name, value in said.items() if name != "IsDeleted"}
        elif self.dice.random() < 0.15:
            said, self.truth = {"IsDeleted": True}, None
        else:
            names = self.dice.sample(list(VALUES), self.dice.randint(1, 3))
            said = {name: self.dice.choice(VALUES[name]) for name in names}
            self.truth.update(said)
        self.modified = utc_now()
        if self.dice.random() < 0.4 or (said == {"IsDeleted": True} and not self.heard):
            return set()
        self.heard = True
        place.send(self.customer, said, self.modified if timed else None)
        return set(said)

    def row(self, *, timed: bool) -> list[dict[str, Any]]:
        """Return the account's row of an export, if it has one."""
        stamp = {"SystemModstamp": self.modified.isoformat()} if timed else {}
        return [{"Id": self.customer, **self.truth, **stamp}] if self.truth is not None else []


def holds(stored: dict[str, Field], truth: dict[str, Any] | None, names: set[str]) -> bool:
    """Tell whether the store says what is true of these fields."""
    values = {name: field.value for name, field in stored.items()}
    if truth is None or values.get("IsDeleted"):
        return truth is None and (not stored or values["IsDeleted"])
    return all(values.get(name) == truth[name] for name in names)


@pytest.fixture(scope="module")
def shared_place(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    built = Place(shared_database, tmp_path_factory.mktemp("exports"))
    yield built
    built.road.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), known=st.sampled_from([True, True, False]))
@example(seed=1, known=False)
def test_the_repair_of_a_stale_export_reverts_nothing_and_repairs_what_drifted(
    shared_place: Place, seed: int, *, known: bool
) -> None:
    """``known``: the export's time is told. Without it nothing is asked but that nothing is reverted."""
    place, dice = shared_place, random.Random(seed)
    place.repair([], exported_at=utc_now(), delete_missing=True, max_share=100.0)  # what other examples left
    place.apply()
    accounts = [Account(dice) for _ in range(15)]
    for account in dice.choices(accounts, k=40):
        account.happens(place)
    exported = utc_now()
    lines = [line for one in accounts for line in one.row(timed=not known or dice.random() < 0.5)]
    truths = {one.customer: dict(one.truth) if one.truth is not None else None for one in accounts}
    [last] = rows(place.url, "SELECT sequence FROM revision")
    for account in dice.sample(accounts, 3):
        account.happens(place)

    def is_newer(field: Field) -> bool:
        if field.timed:
            return (field.time or 0) > microseconds(exported)
        return field.place > int(last["sequence"])

    newer = {customer for customer, fields in place.stored().items() if any(map(is_newer, fields.values()))}
    options = {"exported_at": exported, "delete_missing": True, "max_share": 100.0} if known else {}
    place.repair(lines, **options)
    for account in dice.sample(accounts, 4):
        account.since |= account.happens(place)
    before = place.stored()
    place.apply()
    after = place.stored()
    for account in accounts:
        was, now = before.get(account.customer, {}), after.get(account.customer, {})
        for name, field in was.items():  # nothing that is newer than the export is touched
            assert not is_newer(field) or now[name] == field, (account.customer, name)
        if account.customer in newer:
            assert now == was
        elif known and "IsDeleted" not in account.since and (truths[account.customer] or not account.since):
            assert holds(now, truths[account.customer], set(VALUES) - account.since), account.customer
    assert verified(place.url).faults == []
    fresh_lines = [line for one in accounts for line in one.row(timed=dice.random() < 0.5)]
    place.repair(fresh_lines, exported_at=utc_now(), delete_missing=True, max_share=100.0)
    place.apply()
    after = place.stored()
    assert all(holds(after.get(one.customer, {}), one.truth, set(VALUES)) for one in accounts)
    assert place.repair(fresh_lines, exported_at=utc_now(), delete_missing=True)[1] == []


# The header is anybody's to write.

CATALOG = read_catalog(default_catalog(), 1)
LAST = 9  # the sequence number of the record
_values = st.sampled_from(["a", "b", None, True, False])
_fields = st.dictionaries(
    st.sampled_from(["Name", "SKU1", "IsDeleted", "Extra"]),
    st.builds(Field, _values, st.integers(1, 8), st.none() | st.integers(1, 5), st.booleans()),
)
_said = st.fixed_dictionaries(
    {}, optional={"Name": st.sampled_from(["a", "c"]), "SKU1": st.booleans(), "IsDeleted": st.booleans()}
)


@quick
@given(_fields, _said, st.none() | st.integers(1, 6), st.integers(0, 10**18 - 1) | st.integers(0, 12))
def test_a_record_with_the_header_of_a_repair_does_no_more_than_it_would_without(
    stored: dict[str, Field], said: dict[str, Any], time: int | None, sequence: int
) -> None:
    deleted = stored.get("IsDeleted", Field(None, 0, None, timed=False)).value is True
    state = CustomerState(customer_id="acme", deleted=deleted, fields=stored, licenses={})
    stamp = {"SystemModstamp": dt.datetime.fromtimestamp(time / 1e6, dt.UTC).isoformat()} if time is not None else {}
    plain = Log().change({"Id": "acme", **said, **stamp})
    marked = msgspec.structs.replace(plain, headers=[*plain.headers, ("licet-compared-at", f"1/{sequence}".encode())])
    without, with_header = _folded(plain, state), _folded(marked, state)
    changed = {name for name in with_header if with_header[name].value != stored.get(name, with_header[name]).value}
    changed |= with_header.keys() - stored.keys()
    assert all(with_header[name].value == without[name].value for name in changed)
    kept = {name for name, field in stored.items() if field.place > sequence}
    assert all(with_header[name] == stored[name] for name in kept)
    assert not kept or with_header.get("IsDeleted") == stored.get("IsDeleted")
    assert all(field.place <= LAST for field in with_header.values())


def _folded(record: Record, state: CustomerState) -> dict[str, Field]:
    read = read_record(record, CATALOG)
    assert isinstance(read, Readable)
    world = World(
        catalog=CATALOG,
        revision=9,
        first_sequence=LAST,
        customers={"acme": state},
        earlier={},
        originals={},
        organization=None,
        new_id=uuid.uuid4,
    )
    written = fold([read], world).customers
    return dict(written[0].fields if written else state.fields)
