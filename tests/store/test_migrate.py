"""Migrations: each once, whoever runs them, and no service on a database that is not at its release."""

import re
import threading
import time

import psycopg
import pytest

from licet.bootstrap.desks import customer_desk
from licet.domain.errors import ConfigurationError
from licet.settings import Settings
from licet.store import migrate as migrating
from licet.store.migrate import Migration, check_migrated, default_catalog, migrate, migrations
from support.termed import GRACED
from support.world import TESTER, Log, Road, apply_catalog, at, rows

MORE = Migration(9000, "9000_more.sql", "CREATE TABLE more (one integer)")


def applied(url: str) -> list[int]:
    return [row["number"] for row in rows(url, "SELECT number FROM schema_migration ORDER BY number")]


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> list[Migration]:
    """The migrations of a release that the test makes up."""
    made_up = migrations()
    monkeypatch.setattr(migrating, "migrations", lambda: made_up)
    return made_up


def test_an_empty_database_gets_everything_and_the_default_catalog(empty_database: str) -> None:
    done = migrate(empty_database)
    assert done == migrations()
    assert applied(empty_database) == [migration.number for migration in done]
    check_migrated(empty_database)
    (catalog,) = rows(empty_database, "SELECT version, document FROM catalog_version")
    assert (catalog["version"], catalog["document"]) == (1, default_catalog())
    assert [row["sku"] for row in rows(empty_database, "SELECT sku FROM sku ORDER BY 1")] == ["SKU1", "SKU2", "SKU3"]


def test_the_first_catalog_may_be_another_and_a_later_one_is_not_overwritten(empty_database: str) -> None:
    other = default_catalog().replace("SKU3", "MAIL")
    migrate(empty_database, other)
    migrate(empty_database, default_catalog())
    (catalog,) = rows(empty_database, "SELECT document FROM catalog_version")
    assert catalog["document"] == other


def test_a_second_time_nothing_happens(database: str) -> None:
    before = rows(database, "SELECT *, (SELECT revision FROM revision) AS revision FROM schema_migration")
    assert migrate(database) == []
    assert rows(database, "SELECT *, (SELECT revision FROM revision) AS revision FROM schema_migration") == before


def test_of_two_at_once_one_waits_and_finds_nothing_to_do(empty_database: str) -> None:
    done: list[int] = []
    together = threading.Barrier(2)

    def run() -> None:
        together.wait()
        done.append(len(migrate(empty_database)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [0, len(migrations())]
    assert len(rows(empty_database, "SELECT 1 AS one FROM catalog_version")) == 1


def test_a_pending_migration_keeps_services_from_starting_until_it_is_applied(
    database: str, release: list[Migration]
) -> None:
    release.append(MORE)
    with pytest.raises(ConfigurationError, match=re.escape("lacks the migrations 9000_more.sql: run `licet migrate`")):
        check_migrated(database)
    assert migrate(database) == [MORE]
    check_migrated(database)


def test_a_database_without_any_migration_keeps_services_from_starting(empty_database: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("0001_road.sql")):
        check_migrated(empty_database)


def test_an_edited_migration_is_refused(database: str, release: list[Migration]) -> None:
    release[0] = Migration(release[0].number, release[0].name, release[0].sql + "\n-- one more word")
    for attempt in (migrate, check_migrated):
        with pytest.raises(
            ConfigurationError, match=re.escape("0001_road.sql was edited after it had been applied: install")
        ):
            attempt(database)


def test_a_database_ahead_of_the_release_is_refused(database: str, release: list[Migration]) -> None:
    release.append(MORE)
    migrate(database)
    release.pop()
    for attempt in (migrate, check_migrated):
        with pytest.raises(
            ConfigurationError, match=r"it knows migration 9000_more\.sql, this release does not: start the newer"
        ):
            attempt(database)


def test_a_migration_that_fails_leaves_nothing_and_keeps_those_before_it(
    database: str, release: list[Migration]
) -> None:
    release += [MORE, Migration(9001, "9001_bad.sql", "CREATE TABLE half (one integer); SELECT 1 / 0")]
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(database)
    assert applied(database)[-1] == 9000
    assert rows(database, "SELECT to_regclass('more') AS more, to_regclass('half') AS half") == [
        {"more": "more", "half": None}
    ]


def test_a_migration_does_not_stop_a_running_service_by_waiting_for_its_locks(
    database: str, release: list[Migration]
) -> None:
    release.append(Migration(9000, "9000_column.sql", "ALTER TABLE customer ADD COLUMN more integer"))
    with psycopg.connect(database) as busy:
        busy.execute("SELECT * FROM customer")
        began = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(database)
        assert 2.5 < time.monotonic() - began < 6
    assert [migration.number for migration in migrate(database)] == [9000]


UNDONE = """
DROP FUNCTION fate; DROP FUNCTION customer_fated CASCADE; DROP TABLE customer_fate; DROP INDEX license_graces;
DROP FUNCTION grace_from; DROP INDEX override_starts, override_ends; ALTER TABLE sku DROP COLUMN grace_days;
DELETE FROM clock_position WHERE kind <> 'license'
"""


def test_deletions_and_graces_from_before_they_had_a_place_are_found(database: str) -> None:
    """Migration 13 writes of a store that is there what it would have written all along."""
    apply_catalog(
        database, f'{GRACED}\n[skus."A.B"]\ngrants = {{}}\nflag = "AB"\n  grace_days=30\n[skus.C]\nflag = "C"\n'
    )
    log = Log()
    road = Road(database, log.name)
    for name in ("living", "deleted", "erased"):
        road.apply(log.change({"Id": name, "SKU1": True}))
    road.apply(log.change({"Id": "deleted", "IsDeleted": True, "SystemModstamp": at(-1).isoformat()}))
    road.close()
    customer_desk(Settings(database_url=database)).erase("erased", "a request", TESTER)
    told = [
        "SELECT * FROM customer_fate ORDER BY customer_id",
        "SELECT sku, grace_days FROM sku WHERE catalog_version = 2 ORDER BY sku",
    ]
    before = [rows(database, query) for query in told]
    (thirteen,) = [one for one in migrations() if one.number == 13]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(UNDONE)
        connection.execute(thirteen.sql.encode())
    assert [rows(database, query) for query in told] == before
    assert [(row["customer_id"], row["fate"]) for row in before[0]] == [("deleted", "deleted"), ("erased", "erased")]
    assert [row["grace_days"] for row in before[1]] == [30, 0, 1, 0, 0]
