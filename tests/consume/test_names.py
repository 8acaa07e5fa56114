"""Aliases and e-mail domains that Salesforce's fields give: whose they are, however the log is cut."""

import contextlib
import pathlib
from collections.abc import Iterator

import psycopg
import pytest

from licet.consume.refold import refold
from licet.domain.license import Cause, Moment
from support.world import Log, Road, apply_catalog, at, fresh, rows

CUSTOM = pathlib.Path(__file__).parents[2] / "docs/examples/custom-fields.toml"


@pytest.fixture(scope="module")
def custom_database(shared_database: str) -> str:
    apply_catalog(shared_database, CUSTOM.read_text())
    return shared_database


@pytest.fixture
def custom_road(custom_database: str, log: Log) -> Iterator[Road]:
    built = Road(custom_database, log.name)
    yield built
    built.close()


def holders(url: str, name: str) -> list[str]:
    found = rows(
        url,
        "SELECT customer_id FROM customer_alias WHERE alias = %(name)s AND upper_inf(valid) AND upper_inf(recorded)"
        " UNION ALL SELECT customer_id FROM customer_domain"
        " WHERE domain = %(name)s AND upper_inf(valid) AND upper_inf(recorded) ORDER BY 1",
        name=name,
    )
    return [row["customer_id"] for row in found]


def fed(url: str, road: Road) -> list[set[str]]:
    """Whom each batch of the road touched, by the feed."""
    return [
        {
            row["subject"]
            for row in rows(url, "SELECT subject FROM change_feed WHERE revision = %(at)s", at=batch.revision)
        }
        for batch in road.batches
    ]


def test_a_tenant_id_makes_an_alias_and_a_null_takes_it_away(custom_database: str, log: Log, custom_road: Road) -> None:
    customer, tenant = fresh("acme"), fresh("t")
    custom_road.apply(log.change({"Id": customer, "Tenant_Id__c": tenant}))
    assert holders(custom_database, f"tenant:{tenant}") == [customer]
    custom_road.apply(log.change({"Id": customer, "Tenant_Id__c": None}))
    assert holders(custom_database, f"tenant:{tenant}") == []


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "a batch each"])
def test_an_alias_is_whose_it_was_last_said_to_be_however_the_log_is_cut(
    custom_database: str, log: Log, custom_road: Road, together: bool
) -> None:
    one, two, tenant = fresh("acme"), fresh("umbrella"), fresh("t")
    records = [
        log.change({"Id": one, "Tenant_Id__c": tenant}),
        log.change({"Id": two, "Tenant_Id__c": tenant}),
        log.change({"Id": one, "Tenant_Id__c": tenant, "Name": "says nothing new of the alias"}),
        log.change({"Id": one, "Tenant_Id__c": tenant}),
    ]
    outcomes = (
        custom_road.apply(*records) if together else [word for one_ in records for word in custom_road.apply(one_)]
    )
    assert outcomes == ["applied", "applied", "applied", "ignored(unchanged)"]
    assert holders(custom_database, f"tenant:{tenant}") == [two]
    expected = [{one, two}] if together else [{one}, {one, two}, {one}, set()]
    assert fed(custom_database, custom_road) == expected


def test_an_alias_that_a_person_gave_stays_with_the_person_s_customer(
    custom_database: str, log: Log, custom_road: Road
) -> None:
    one, two, tenant = fresh("acme"), fresh("umbrella"), fresh("t")
    with psycopg.connect(custom_database) as connection:
        connection.execute(
            "INSERT INTO customer_alias VALUES (%s, %s, 'person', 'ada', tstzrange(now(), NULL), int8range(1, NULL))",
            (f"tenant:{tenant}", one),
        )
    assert custom_road.apply(log.change({"Id": two, "Tenant_Id__c": tenant})) == ["applied"]
    assert holders(custom_database, f"tenant:{tenant}") == [one]


def test_a_domain_may_be_shared_and_a_public_one_or_a_word_is_none(
    custom_database: str, log: Log, custom_road: Road
) -> None:
    one, two, domain = fresh("acme"), fresh("umbrella"), f"{fresh('d')}.example"
    custom_road.apply(
        log.change({"Id": one, "EmailDomain__c": domain}), log.change({"Id": two, "EmailDomain__c": domain})
    )
    assert holders(custom_database, domain) == [one, two]
    for bad in ("gmail.com", "no domain"):
        assert custom_road.apply(log.change({"Id": one, "EmailDomain__c": bad})) == ["applied"]
        assert holders(custom_database, bad) == []
    assert holders(custom_database, domain) == [two]


def test_a_deleted_customer_gives_up_its_names_and_gets_them_back(
    custom_database: str, log: Log, custom_road: Road
) -> None:
    customer, tenant = fresh("acme"), fresh("t")
    custom_road.apply(log.change({"Id": customer, "Tenant_Id__c": tenant, "EmailDomain__c": f"{tenant}.example"}))
    custom_road.apply(log.change({"Id": customer, "IsDeleted": True}))
    assert holders(custom_database, f"tenant:{tenant}") == holders(custom_database, f"{tenant}.example") == []
    custom_road.apply(log.change({"Id": customer, "IsDeleted": False, "SystemModstamp": "2026-03-01T11:00:00Z"}))
    assert holders(custom_database, f"tenant:{tenant}") == holders(custom_database, f"{tenant}.example") == [customer]


def renamed(catalog: str, system: str) -> str:
    """The same catalog, with another name for the aliases that the tenant field gives."""
    assert '\ntenant = "Tenant_Id__c"' in catalog
    return catalog.replace("\ntenant =", f"\n{system} =")


def test_a_catalog_change_gives_no_alias_back_to_whom_it_was_taken_from(database: str, log: Log) -> None:
    """The customers come in the order of their ids: once the later claim is the first id's, once the last one's."""
    document = CUSTOM.read_text()
    apply_catalog(database, document)
    with contextlib.closing(Road(database, log.name)) as road:
        move_names(database, log, road, document)


def move_names(database: str, log: Log, road: Road, document: str) -> None:
    for name, claims in (("one", ["a", "b"]), ("two", ["d", "c"])):
        road.apply(*(log.change({"Id": claim, "Tenant_Id__c": name}) for claim in claims))
    road.apply(*(log.change({"Id": early, "Tenant_Id__c": name}) for early, name in (("a", "one"), ("d", "two"))))
    for catalog, system in ((document + "\n# one word more\n", "tenant"), (renamed(document, "org"), "org")):
        apply_catalog(database, catalog)
        assert list(refold(road.projection, moment)) == [4]
        found = [holders(database, f"{system}:{name}") for name in ("one", "two")]
        if system == "tenant":
            assert found == [["b"], ["c"]]
        else:  # no one had these: whose field was written last has them
            assert found == [["a"], ["d"]]
            assert holders(database, "tenant:one") == []


def moment(revision: int, cause: Cause) -> Moment:
    return Moment(at(100), revision, cause)
