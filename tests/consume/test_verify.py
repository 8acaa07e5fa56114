"""``licet verify``: clean on what the road wrote, whatever came; and it finds each fault that is planted."""

import asyncio
import pathlib
import uuid

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consume.deliveries import DEFAULT, deliveries, split
from consume.model import Sent
from consume.test_model import Run, Setting
from consume.test_stops import Survey
from licet.consume.refold import refold
from licet.consume.verify import Report, verify
from licet.domain.ids import CustomerRef
from licet.domain.license import Moment
from licet.domain.principal import Actor
from licet.queue.ports import Extent, LogUnavailable
from licet.store.directory import PostgresDirectory
from licet.store.migrate import default_catalog
from licet.store.overrides import PostgresOverrides, Wanted
from licet.store.pools import writer_pool
from licet.store.projection import PostgresProjection
from licet.store.values import NameKind
from licet.store.verification import open_books
from support.stores import postgres_store
from support.world import Log, Road, apply_catalog, at, fresh

SIGNED = {"SignedTos": True, "SKU1": True}
CUSTOM_CATALOG = pathlib.Path(__file__).parents[2] / "docs/examples/custom-fields.toml"


class Held(Survey):
    """A log that holds the records of these offsets."""

    def __init__(self, name: str, extent: Extent, offsets: set[int]) -> None:
        super().__init__(name, p0=extent)
        self.offsets = offsets

    def count(self, partition: int, start: int, stop: int) -> int:
        assert partition == 0
        return sum(start <= offset < stop for offset in self.offsets)


class Away(Survey):
    def extents(self) -> tuple[str, dict[int, Extent]]:
        raise LogUnavailable("no broker answers")


def verified(url: str, survey: Survey | None = None) -> Report:
    folded: list[int] = []
    with open_books(url) as books:
        expected = books.count_entries()
        report = verify(books, survey or Survey("no log"), folded.append)
        assert sum(folded) == expected == report.deliveries
    return report


def by_hand(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def bring_under(url: str, document: str, hours: float) -> None:
    apply_catalog(url, document)
    projection = PostgresProjection(url)
    for _ in refold(projection, lambda revision, cause: Moment(at(hours), revision, cause)):
        pass
    projection.close()


@pytest.mark.storm
def test_whatever_came_the_ledger_folds_again_and_after_catalogs_that_moved_licenses_too(shared_database: str) -> None:
    @settings(max_examples=12, deadline=None)
    @given(sent=deliveries(DEFAULT), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3))
    def come(sent: list[Sent], sizes: list[int]) -> None:
        with postgres_store(shared_database) as store:
            Run(Setting(store, DEFAULT), sent, sizes)

    come()
    assert split([1, 2, 3], [2]) == [[1, 2], [3]]
    log = Log()
    road = Road(shared_database, log.name)
    customers = [fresh("acme") for _ in range(5)]
    road.apply(*(log.change({"Id": one, **SIGNED, "MAIL__c": number % 2 == 0}) for number, one in enumerate(customers)))
    bring_under(shared_database, default_catalog().replace('flag = "SKU1"', 'flag = "MAIL__c"'), 5)
    road.apply(*(log.change({"Id": one, "SKU2": True, "Name": "x"}, received=at(6)) for one in customers[:3]))
    bring_under(shared_database, default_catalog().replace('name = "Name"', 'name = "SalesEngineerId"'), 7)
    road.apply(*(log.change({"Id": one, "SKU2": False, "MAIL__c": True}, received=at(8)) for one in customers))
    road.close()
    report = verified(shared_database)
    assert report.faults == []
    assert report.customers > 20
    assert report.unchecked == {}


@pytest.fixture
def books(database: str, log: Log) -> str:
    """A store with three customers: eight deliveries of one partition, one of them dead."""
    road = Road(database, log.name)
    for name in ("acme", "umbrella", "tyrell"):
        road.apply(log.change({"Id": name, **SIGNED}), log.change({"Id": name, "SKU1": False}, received=at(1)))
    road.apply(log.raw(b"a", b"{", Log().change({"Id": "a"}).headers), log.change({"Id": "acme", "SKU2": True}))
    road.close()
    return database


def test_a_clean_store(books: str, log: Log) -> None:
    report = verified(books, Held(log.name, Extent(3, 8), {3, 4, 5, 6, 7}))
    assert (report.faults, report.unchecked) == ([], {})
    assert (report.partitions, report.deliveries, report.customers) == (1, 7, 3)


def test_an_outcome_that_is_missing(books: str, log: Log) -> None:
    by_hand(books, 'DELETE FROM delivery WHERE "offset" = 6')
    assert verified(books, Held(log.name, Extent(0, 8), {6})).faults == [
        f"{log.name}/0: 1 records without an outcome, at the offsets 6 to 6"
    ]
    assert "no longer has" in verified(books, Held(log.name, Extent(7, 8), {7})).faults[0]
    assert verified(books, Held(log.name, Extent(0, 8), set())).faults == [], "Kafka's own markers take offsets too"


def test_what_a_person_accepted_to_skip_is_no_hole(books: str, log: Log) -> None:
    by_hand(books, 'DELETE FROM delivery WHERE "offset" = 6')
    by_hand(
        books,
        "INSERT INTO partition_decision (log, partition, action, reason, detail, stopped_at, from_offset, next_offset,"
        f" author) VALUES ('{log.name}', 0, 'accept', 'below_start', '', now(), 6, 7, 'ada')",
    )
    assert verified(books, Held(log.name, Extent(7, 8), {7})).faults == []


def test_an_outcome_beyond_the_committed_offset_and_an_offset_beyond_the_log(books: str, log: Log) -> None:
    assert "the log ends at 5" in verified(books, Held(log.name, Extent(0, 5), set())).faults[0]
    by_hand(books, "UPDATE consumer_offset SET next_offset = 7")
    assert "the ledger has offset 7, the committed offset is 7" in verified(books).faults[0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE customer SET fields = '{}' WHERE customer_id = 'acme'",
        "UPDATE customer SET name = 'somebody else' WHERE customer_id = 'acme'",
        "DELETE FROM customer WHERE customer_id = 'acme'",
        # As someone who may switch triggers off.
        "ALTER TABLE license DISABLE TRIGGER USER; DELETE FROM license WHERE customer_id = 'acme' AND sku = 'SKU2'",
        "UPDATE license SET recorded = int8range(lower(recorded), 99) WHERE customer_id = 'acme' AND sku = 'SKU2'",
    ],
)
def test_a_customer_that_is_not_what_its_deliveries_say(books: str, change: str) -> None:
    by_hand(books, change)
    [fault] = verified(books).faults
    assert fault.startswith("customer acme: the ledger folds to ")


def test_an_outcome_that_the_rules_would_not_give(books: str) -> None:
    by_hand(books, "UPDATE delivery SET outcome = 'superseded' WHERE \"offset\" = 2")
    assert verified(books).faults == ["delivery 3 ended as superseded, folded again as applied"]


def test_a_license_that_names_no_delivery(books: str) -> None:
    by_hand(books, 'DELETE FROM delivery WHERE "offset" = 7')
    assert any("names a delivery or a catalog that is not there" in fault for fault in verified(books).faults)


def test_what_cannot_be_looked_at_is_said(books: str, log: Log) -> None:
    by_hand(books, "UPDATE delivery SET payload = NULL WHERE customer_id = 'acme'")
    report = verified(books, Away(log.name))
    assert report.faults == []
    assert report.unchecked == {"the log itself: no broker answers": 1, "customers of whom payloads were pruned": 1}


def test_a_catalog_that_did_not_reach_a_customer(books: str) -> None:
    apply_catalog(books, default_catalog().replace('flag = "SKU1"', 'flag = "SKU2"', 1))
    by_hand(books, "UPDATE catalog_version SET refolded = '~' WHERE upper_inf(recorded)")
    assert "the current catalog has not reached" in verified(books).faults[0]


@pytest.mark.storm
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "Tenant_Id__c": st.sampled_from([None, "1", "2"]),
                    "EmailDomain__c": st.sampled_from([None, "one.example", "two.example"]),
                    "IsDeleted": st.booleans(),
                },
            ),
        ),
        min_size=1,
        max_size=12,
    ),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_names_that_move_between_customers_are_verified(
    custom: str, moves: list[tuple[str, dict[str, object]]], sizes: list[int]
) -> None:
    log, own = Log(), fresh("x")
    road = Road(custom, log.name)
    sent = [
        log.change({"Id": f"{own}-{customer}", **_own(own, fields)}, received=at(hour))
        for hour, (customer, fields) in enumerate(moves)
    ]
    for batch in split(sent, sizes):
        road.apply(*batch)
    road.close()
    assert verified(custom).faults == []


def _own(prefix: str, fields: dict[str, object]) -> dict[str, object]:
    """Make the names of one example its own."""
    return {name: f"{prefix}{value}" if isinstance(value, str) else value for name, value in fields.items()}


@pytest.fixture
def custom(database: str) -> str:
    """A store whose catalog maps an alias and an e-mail domain."""
    bring_under(database, CUSTOM_CATALOG.read_text(), 0)
    return database


@pytest.fixture
def named(custom: str, log: Log) -> str:
    """A store with a customer whose fields give both, and one whose fields give none."""
    road = Road(custom, log.name)
    road.apply(
        log.change({"Id": "acme", "Tenant_Id__c": "4711", "EmailDomain__c": "acme.example"}),
        log.change({"Id": "umbrella"}),
    )
    road.close()
    assert verified(custom).faults == []
    return custom


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DELETE FROM customer_alias", "a field says the alias tenant:4711, and nobody was given it"),
        ("DELETE FROM customer_domain", "a field says the domain acme.example, and nobody was given it"),
        ("UPDATE customer_domain SET domain = 'b.example'", "the domain b.example is held, and no field says it"),
        ("UPDATE customer_alias SET alias = 'tenant:1'", "the alias tenant:1 is held, and no field says it"),
    ],
)
def test_a_name_that_no_delivery_explains(named: str, change: str, fault: str) -> None:
    by_hand(named, change)
    assert f"customer acme: {fault}" in verified(named).faults


GRANT = Wanted(sku="SKU2", effect="grant", starts_at=at(1), ends_at=at(48), reason="a gift")
PERSON = Actor("the operator")
ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def said(named: str) -> str:
    """A store in which people gave names and overrides, took some, and took over two that a field gave."""
    asyncio.run(give_and_take(named))
    return named


async def give_and_take(url: str) -> None:
    acme, umbrella = CustomerRef(customer_id="acme"), CustomerRef(customer_id="umbrella")
    async with writer_pool(url) as pool:
        names, overrides = PostgresDirectory(pool), PostgresOverrides(pool)
        await names.put(NameKind.DOMAIN, acme, "acme.example", PERSON)
        await names.put(NameKind.ALIAS, acme, "tenant:4711", PERSON)
        for user in ("ada", "bob"):
            await names.put(NameKind.MEMBER, acme, user, PERSON)
        await names.put(NameKind.MEMBER, umbrella, "bob", PERSON)
        await names.delete(NameKind.MEMBER, acme, "bob", PERSON)
        first, _ = await overrides.put(ONE, acme, GRANT, PERSON, None, lambda _: None)
        longer = msgspec.structs.replace(GRANT, ends_at=at(72))
        await overrides.put(ONE, umbrella, longer, PERSON, first.version, lambda _: None)
        second, _ = await overrides.put(TWO, acme, GRANT, PERSON, None, lambda _: None)
        await overrides.end(TWO, PERSON, "enough", second.version, lambda _: None)


def test_what_people_gave_is_there(said: str) -> None:
    assert verified(said).faults == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DELETE FROM user_membership WHERE user_id = 'ada'", "customer acme: the user ada was given"),
        ("UPDATE user_membership SET user_id = 'eve' WHERE user_id = 'ada'", "customer acme: the user eve is there"),
        ("UPDATE customer_domain SET origin = 'person', customer_id = 'umbrella'", "customer umbrella: the domain "),
        ("UPDATE customer_alias SET customer_id = 'umbrella'", "customer umbrella: the alias "),
        (
            "UPDATE override SET ends_at = ends_at + interval '1 h'",
            f"customer umbrella: the override {ONE} was given as",
        ),
        ("UPDATE override SET effect = 'block'", f"customer umbrella: the override {ONE} was given as"),
        (f"DELETE FROM override WHERE override_id = '{ONE}'", f"customer umbrella: the override {ONE} was given"),
    ],
)
def test_what_no_person_said(said: str, change: str, fault: str) -> None:
    by_hand(said, f"SET session_replication_role = replica; {change}")
    assert any(one.startswith(fault) for one in verified(said).faults)
