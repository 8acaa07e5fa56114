"""The catalog as an operator handles it."""

import threading
from pathlib import Path

import pytest

from licet.domain.errors import InvalidInput, Unavailable
from licet.manage.catalog import CatalogDesk
from licet.store.catalog_writer import PostgresCatalogs
from licet.store.migrate import default_catalog
from support.web import running_web
from support.world import TESTER, rows

EXAMPLE = (Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml").read_text()


def test_a_new_document_is_the_next_version_and_an_unchanged_one_is_none(database: str) -> None:
    desk = CatalogDesk(PostgresCatalogs(database))
    first = desk.show()
    assert (first.version, first.document, first.author) == (1, default_catalog(), "the first start")
    applied = desk.apply(EXAMPLE, TESTER)
    assert applied is not None
    assert (applied.version, applied.author, applied.revision) == (2, "a test", first.revision + 1)
    assert desk.apply(EXAMPLE, TESTER) is None
    assert desk.show() == applied
    kept = rows(database, "SELECT version, upper_inf(recorded) AS open FROM catalog_version ORDER BY version")
    assert kept == [{"version": 1, "open": False}, {"version": 2, "open": True}]


def test_a_document_with_faults_changes_nothing(database: str) -> None:
    desk = CatalogDesk(PostgresCatalogs(database))
    with pytest.raises(InvalidInput) as caught:
        desk.apply('[skus.A]\nflag = "A"\ngrants = { nowhere = true }\n', TESTER)
    assert caught.value.faults[0].field == "skus.A.grants"
    assert desk.show().version == 1


def test_two_who_apply_at_the_same_time_follow_each_other(database: str) -> None:
    documents = [default_catalog() + f"# {number}\n" for number in range(6)]
    desks = [
        threading.Thread(target=CatalogDesk(PostgresCatalogs(database)).apply, args=(document, TESTER))
        for document in documents
    ]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join()
    versions = rows(database, "SELECT version, document FROM catalog_version ORDER BY version")
    assert [row["version"] for row in versions] == list(range(1, 8))
    assert {row["document"] for row in versions[1:]} == set(documents)


def test_a_running_web_answers_by_the_new_catalog_and_lists_it(database: str) -> None:
    desk = CatalogDesk(PostgresCatalogs(database))
    with running_web(database) as web:
        assert web.check("teleportation", customer="a")["reason"] == "unknown_feature"
        desk.apply(default_catalog() + '[features.teleportation]\ntitle = "Teleportation"\n', TESTER)
        assert web.check("teleportation", customer="a")["reason"] == "unknown_customer"
        assert "teleportation" in [one["feature"] for one in web.get("/v1/features")["items"]]


def test_a_store_that_is_away_is_said_to_be(database: str) -> None:
    desk = CatalogDesk(PostgresCatalogs("postgresql://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(Unavailable, match="does not answer"):
        desk.show()
