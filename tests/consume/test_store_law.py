"""What the database itself refuses, whoever writes to it: rows that overlap in both times, and rewritten history."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from support.world import Log, Road

Psql = psycopg.Connection[Any]
INSERT = (
    "INSERT INTO license (license_id, customer_id, sku, status, valid, recorded, opened_delivery, opened_catalog)"
    " VALUES (gen_random_uuid(), %(customer)s, %(sku)s, %(status)s, %(valid)s, %(recorded)s, %(delivery)s, %(catalog)s)"
)


def begin(url: str) -> None:
    """Let acme hold SKU1: active, an hour later suspended."""
    log = Log()
    road = Road(url, log.name)
    road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True, "SystemModstamp": "2026-03-01T10:00:00Z"}))
    road.apply(log.change({"Id": "acme", "SignedTos": False, "SystemModstamp": "2026-03-01T11:00:00Z"}))
    road.close()


@pytest.fixture(scope="module")
def begun(shared_database: str) -> str:
    begin(shared_database)
    return shared_database


@pytest.fixture
def psql(begun: str) -> Iterator[Psql]:
    """A person at the database; nothing of what the test does stays."""
    with psycopg.connect(begun, options="-c timezone=UTC") as connection:
        yield connection
        connection.rollback()


def insert(psql: Psql, **said: Any) -> None:
    (present,) = psql.execute("SELECT revision FROM revision").fetchone() or (0,)
    row = {
        "customer": "acme",
        "sku": "SKU1",
        "status": "active",
        "valid": "[2026-03-01 10:30,)",
        "recorded": f"[{present},)",
        "delivery": 1,
        "catalog": None,
    }
    psql.execute(INSERT.encode(), {**row, **said})


def refused(psql: Psql, *constraints: str, **said: Any) -> None:
    with pytest.raises(psycopg.IntegrityError) as raised, psql.transaction():
        insert(psql, **said)
    assert raised.value.diag.constraint_name in constraints


# Two rows that are both open meet at the index already.
OVERLAP = ("license_no_overlap", "license_believed")


@pytest.mark.parametrize(
    "valid",
    [
        "[2026-03-01 10:30,)",
        "[2026-03-01 09:00, 2026-03-01 10:00:00.000001)",
        "[2026-03-01 10:15, 2026-03-01 10:16)",
        "[2026-03-01 10:59:59.999999, 2026-03-01 11:30)",
        "[2020-01-01, 2030-01-01)",
    ],
)
def test_rows_of_one_customer_and_sku_that_overlap_in_both_times_are_refused(psql: Psql, valid: str) -> None:
    refused(psql, *OVERLAP, valid=valid)


def test_rows_of_another_customer_or_sku_or_time_are_taken(psql: Psql) -> None:
    insert(psql, customer="umbrella")
    insert(psql, sku="SKU2")
    insert(psql, valid="[2026-03-01 09:00, 2026-03-01 10:00)")


def test_two_new_rows_that_overlap_each_other_are_refused(psql: Psql) -> None:
    insert(psql, customer="new", valid="[2026-01-01, 2026-01-03)")
    refused(psql, "license_no_overlap", customer="new", valid="[2026-01-02, 2026-01-04)")


def test_a_row_cannot_be_recorded_in_the_past_or_in_the_future(psql: Psql) -> None:
    for recorded in ("[1,)", "[99,)", "[1,2)"):
        refused(psql, "license_recorded_now", sku="SKU2", recorded=recorded)


def test_two_writers_cannot_slip_past_each_other(database: str) -> None:
    """The second waits for the first one's lock, and then sees its row."""
    begin(database)
    with psycopg.connect(database) as one, psycopg.connect(database, autocommit=True) as two:
        insert(one, customer="new", valid="[2026-01-01, 2026-01-03)")
        two.execute("SET lock_timeout = '200ms'")
        with pytest.raises(errors.LockNotAvailable):
            insert(two, customer="new", valid="[2026-01-02, 2026-01-04)")
        one.commit()
        refused(two, "license_no_overlap", customer="new", valid="[2026-01-02, 2026-01-04)")


REWRITES = {
    "another status": "UPDATE license SET status = 'active' WHERE status = 'suspended'",
    "another time": "UPDATE license SET valid = tstzrange('2020-01-01', NULL) WHERE status = 'suspended'",
    "another start": "UPDATE license SET starts_at = now() WHERE status = 'suspended'",
    "another end": "UPDATE license SET ends_at = now() WHERE status = 'suspended'",
    "another quantity": "UPDATE license SET quantity = 7 WHERE status = 'suspended'",
    "another customer": "UPDATE license SET customer_id = 'umbrella' WHERE status = 'suspended'",
    "another license": "UPDATE license SET license_id = gen_random_uuid() WHERE status = 'suspended'",
    "another cause": "UPDATE license SET opened_delivery = 99 WHERE status = 'suspended'",
    "another end's cause": "UPDATE license SET closed_delivery = 99 WHERE status = 'suspended'",
    "closed rows reopened": "UPDATE license SET recorded = '[1,)' WHERE NOT upper_inf(recorded)",
    "closed rows closed earlier": "UPDATE license SET recorded = '[1,1]' WHERE NOT upper_inf(recorded)",
    "recorded earlier": "UPDATE license SET recorded = '[1,)' WHERE status = 'suspended'",
}


@pytest.mark.parametrize("what", ["DELETE FROM license WHERE status = 'suspended'", "TRUNCATE license"])
def test_history_cannot_be_thrown_away(psql: Psql, what: str) -> None:
    with pytest.raises(psycopg.IntegrityError) as raised:
        psql.execute(what.encode())
    assert raised.value.diag.constraint_name == "license_is_kept"


@pytest.mark.parametrize("what", REWRITES)
def test_history_cannot_be_rewritten(psql: Psql, what: str) -> None:
    (rows,) = psql.execute("SELECT count(*) FROM license").fetchone() or (0,)
    assert rows == 3
    with pytest.raises(psycopg.Error) as raised:
        psql.execute(REWRITES[what].encode())
    assert raised.value.diag.constraint_name in {"license_only_closes", "license_recorded_check"}


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        ("license_status_check", {"status": "expired"}),
        ("license_valid_check", {"valid": "empty"}),
        ("license_valid_check", {"valid": "(,2026-01-01)"}),
        ("license_check", {"delivery": None}),
        ("license_check", {"catalog": 1}),
    ],
)
def test_a_row_has_a_status_a_time_and_exactly_one_cause(psql: Psql, constraint: str, said: dict[str, Any]) -> None:
    refused(psql, constraint, sku="SKU2", **said)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO revision (one, revision, sequence) VALUES (true, 9, 9)",
        "INSERT INTO revision (one, revision, sequence) VALUES (false, 9, 9)",
        "INSERT INTO catalog_version VALUES (9, '', '', tstzrange(now(), NULL), int8range(9, NULL))",
        "INSERT INTO delivery SELECT * FROM delivery",
        "UPDATE delivery SET outcome = 'lost'",
    ],
    ids=["a second revision", "another revision", "two current catalogs", "a delivery twice", "an unknown outcome"],
)
def test_there_is_one_revision_one_catalog_and_one_outcome(psql: Psql, statement: str) -> None:
    with pytest.raises(psycopg.IntegrityError):
        psql.execute(statement.encode())
