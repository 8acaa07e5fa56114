"""A new catalog reaches the customers that are there already, also after an interruption."""

import datetime as dt

import pytest

from licet.consume import refold as refolding
from licet.consume.refold import refold
from licet.domain.license import Cause, Moment
from licet.store.migrate import default_catalog
from support.world import Log, Road, apply_catalog, at, history, rows, states

WITH_SKU4 = default_catalog() + '\n[skus.SKU4]\nflag = "SKU4"\ngrants = { inbound-email-security = true }\n'
BUSY = ("SignedTos", "SKU1", "SKU4")


def moment(revision: int, cause: Cause) -> Moment:
    return Moment(at(100), revision, cause)


def customers(log: Log, road: Road, count: int) -> list[str]:
    names = [f"c{number}" for number in range(count)]
    road.apply(*(log.change({"Id": name, **dict.fromkeys(BUSY, True)}) for name in names))
    return names


def reached(url: str) -> int:
    """How many customers the catalog has reached."""
    return len(rows(url, "SELECT 1 AS one FROM license_current WHERE sku = 'SKU4' AND state = 'active'"))


def test_a_flag_of_an_unknown_sku_takes_effect_when_the_catalog_learns_it(database: str, log: Log, road: Road) -> None:
    road.apply(log.change({"Id": "acme", **dict.fromkeys(BUSY, True)}), log.change({"Id": "umbrella", "SKU4": None}))
    assert states(database, "acme") == {"SKU1": "active"}
    apply_catalog(database, WITH_SKU4)
    assert list(refold(road.projection, moment)) == [2]
    assert states(database, "acme") == {"SKU1": "active", "SKU4": "active"}
    assert states(database, "umbrella") == {}
    (row,) = history(database, "acme", "SKU4")
    assert (row["opened_catalog"], row["opened_delivery"], row["since"]) == (2, None, at(100))
    feed = rows(database, "SELECT subject FROM change_feed WHERE kind = 'customer' AND revision > 3")
    assert [row["subject"] for row in feed] == ["acme"]


def test_a_customer_that_changes_before_the_catalog_reaches_it_is_under_the_new_one_at_once(
    database: str, log: Log, road: Road
) -> None:
    customers(log, road, 2)
    apply_catalog(database, WITH_SKU4)
    road.apply(log.change({"Id": "c0", "Extra": 1}))
    assert (states(database, "c0")["SKU4"], "SKU4" in states(database, "c1")) == ("active", False)
    assert list(refold(road.projection, moment)) == [2]
    assert reached(database) == 2
    assert len(history(database, "c0", "SKU4")) == 1


def test_an_interrupted_refold_goes_on_where_it_stood(
    database: str, log: Log, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refolding, "CHUNK", 2)
    customers(log, road, 5)
    apply_catalog(database, WITH_SKU4)
    begun = refold(road.projection, moment)
    assert next(begun) == 2
    begun.close()
    assert reached(database) == 2
    assert list(refold(road.projection, moment)) == [2, 1]
    assert reached(database) == 5
    before = rows(database, "SELECT count(*) AS rows FROM license")
    assert list(refold(road.projection, moment)) == []
    assert rows(database, "SELECT count(*) AS rows FROM license") == before


def test_a_newer_catalog_takes_over_from_one_that_is_under_way(
    database: str, log: Log, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refolding, "CHUNK", 2)
    customers(log, road, 5)
    apply_catalog(database, WITH_SKU4)
    older = refold(road.projection, moment)
    assert next(older) == 2
    apply_catalog(database, default_catalog().replace('flag = "SKU1"', 'flag = "SKU4"'))
    assert list(older) == []
    assert list(refold(road.projection, moment)) == [2, 2, 1]


def test_an_older_catalog_that_comes_late_changes_nothing(
    database: str, log: Log, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process looked at the catalog, slept while a newer one was applied to every customer, and woke up."""
    customers(log, road, 3)
    road.apply(log.change({"Id": "c0", "SKU1": False}))
    apply_catalog(database, WITH_SKU4)
    stale = road.projection.current_catalog()
    apply_catalog(database, default_catalog().replace('flag = "SKU1"', 'flag = "SKU4"'))
    assert list(refold(road.projection, moment)) == [3]
    before = {name: states(database, name) for name in ("c0", "c1", "c2")}
    late = Road(database, log.name)
    monkeypatch.setattr(late.projection, "current_catalog", lambda: stale)
    assert list(refold(late.projection, moment)) == []
    late.close()
    assert {name: states(database, name) for name in ("c0", "c1", "c2")} == before


def test_a_sku_that_the_catalog_drops_keeps_its_history(database: str, log: Log, road: Road) -> None:
    customers(log, road, 1)
    fewer = default_catalog().replace("[skus.SKU1]", "[skus.MAIL]")
    apply_catalog(database, fewer)
    assert list(refold(road.projection, moment)) == [1]
    assert states(database, "c0") == {"SKU1": "active", "MAIL": "active"}
    road.apply(log.change({"Id": "c0", "IsDeleted": True}))
    assert states(database, "c0") == {"SKU1": "ended", "MAIL": "ended"}


def test_a_refold_before_the_license_began_moves_forward_in_time(database: str, log: Log, road: Road) -> None:
    later = at(200)
    road.apply(log.change({"Id": "acme", **dict.fromkeys(BUSY, True)}, received=later))
    apply_catalog(database, default_catalog().replace("SignedTos", "Signed__c"))
    assert list(refold(road.projection, moment)) == [1]
    told = history(database, "acme", "SKU1")
    tick = dt.timedelta(microseconds=1)
    assert [(row["status"], row["since"]) for row in told] == [("active", later), ("suspended", later + tick)]
    assert (told[0]["closed_catalog"], told[0]["closed_delivery"]) == (2, None)
