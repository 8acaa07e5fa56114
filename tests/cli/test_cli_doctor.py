"""`licet doctor`: what is wrong, and what to do, in words a person at 3 a.m. can follow."""

import json
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cli.said import Cli, Said
from licet.bootstrap import doctor
from licet.queue.postgres import log_name
from licet.store.vitals import Reached
from support.world import Log, Road

KEY = "a-key-of-sixteen-characters"


def findings(said: Said) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in json.loads(said.out)}


def test_a_new_store_without_keys_and_workers(stored: Cli) -> None:
    said = stored("doctor", "--json")
    assert said.code == 1, said
    found = findings(said)
    assert [name for name, one in found.items() if one["state"] == "bad"] == ["keys", "door"]
    assert found["keys"]["todo"] == "run `licet keys create NAME --scope read`"
    assert found["door"]["todo"].startswith("set LICET_WEBHOOK_SECRETS")
    assert found["workers"] == {
        "what": "workers",
        "state": "warn",
        "found": "0 changes to apply; none has spoken",
        "todo": "start `licet worker`",
    }
    assert found["database"]["found"].startswith("PostgreSQL ")
    assert found["schema"]["state"] == found["clock"]["state"] == found["catalog"]["state"] == "ok"


def test_it_is_told_in_lines_with_what_to_do_below(stored: Cli) -> None:
    lines = stored("doctor").out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("bad   keys"))
    assert lines[at + 1].strip() == "→ run `licet keys create NAME --scope read`"
    assert any(line.startswith("ok    schema") for line in lines)


def test_what_waits_what_died_and_what_stopped_is_told(stored: Cli, database: str) -> None:
    log = Log(log_name(database))
    road = Road(database, log.name)
    road.apply(log.raw(None, b"\xff", []))
    road.close()
    with psycopg.connect(database) as connection:
        connection.execute(
            "INSERT INTO queue_record SELECT 3, n, NULL, NULL, '\\x90', now() FROM generate_series(0, 6) n"
        )
        ends = "INSERT INTO queue_partition VALUES (3, 7) ON CONFLICT (partition) DO UPDATE SET next_offset = 7"
        connection.execute(ends)
        connection.execute("UPDATE spool_state SET open = true")
        stop = "INSERT INTO partition_stop (log, partition, reason, detail) VALUES (%s, 3, 'below_start', 'gone')"
        connection.execute(stop, (log.name,))
    found = findings(stored("doctor", "--json", bootstrap_api_key=KEY))
    assert (found["workers"]["state"], found["workers"]["found"].split(";")[0]) == ("bad", "7 changes to apply")
    assert found["dead letters"]["todo"] == "run `licet dead list`"
    assert found["partitions"]["todo"] == "run `licet partition show`"
    assert found["spool"]["state"] == "warn"
    assert found["keys"]["state"] == found["door"]["state"] == "ok"


@pytest.mark.parametrize(("ahead", "state"), [(0.1, "ok"), (-5, "warn"), (90, "bad")])
def test_clocks_that_differ_are_told(stored: Cli, monkeypatch: pytest.MonkeyPatch, ahead: float, state: str) -> None:
    monkeypatch.setattr(doctor, "reach", lambda _: Reached(180000, 0.001, ahead))
    assert findings(stored("doctor", "--json"))["clock"]["state"] == state


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        ({"webhook_auth": "none"}, "ok"),
        ({"webhook_auth": "none", "host": "0.0.0.0"}, "warn"),
        ({"webhook_secrets": "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="}, "ok"),
    ],
)
def test_who_may_post_is_told(stored: Cli, settings: dict[str, str], state: str) -> None:
    assert findings(stored("doctor", "--json", **settings))["door"]["state"] == state


@pytest.mark.parametrize(
    ("settings", "what", "todo"),
    [
        ({"database_url": ""}, "database", "set LICET_DATABASE_URL"),
        ({"database_url": "postgresql://nobody@127.0.0.1:1/none"}, "database", "start PostgreSQL"),
        ({"kafka_brokers": "127.0.0.1:1"}, "queue", "start the broker"),
        ({"kafka_brokers": "none.invalid:1"}, "queue", "correct LICET_KAFKA_BROKERS"),
        ({"kafka_brokers": "127.0.0.1:1", "kafka_config": "foo=bar"}, "queue", "correct that setting"),
    ],
)
def test_what_cannot_be_reached_is_told(stored: Cli, settings: dict[str, str], what: str, todo: str) -> None:
    said = stored("doctor", "--json", **settings)
    assert said.code == 1
    found = findings(said)[what]
    assert found["state"] == "bad"
    assert found["todo"].startswith(todo)


@pytest.mark.parametrize(
    ("change", "found", "todo"),
    [
        (
            "DELETE FROM schema_migration WHERE number = 5",
            "lacks the migrations 0005_follow.sql",
            "run `licet migrate`",
        ),
        ("INSERT INTO schema_migration VALUES (9000, '9000_more.sql', '')", "is ahead", "start the newer release"),
        ("UPDATE schema_migration SET digest = '' WHERE number = 1", "was edited", "install the release"),
    ],
)
def test_a_schema_of_another_release_is_told(stored: Cli, database: str, change: str, found: str, todo: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(change.encode())
    told = findings(stored("doctor", "--json"))
    assert found in told["schema"]["found"]
    assert told["schema"]["todo"].startswith(todo)
    assert "workers" not in told
    refused = stored("web")
    assert refused.code == 2
    assert todo in refused.err


def test_a_role_without_its_rights_is_told(stored: Cli, database: str) -> None:
    role = f"bare_{uuid.uuid4().hex}"
    with psycopg.connect(database) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        found = findings(stored("doctor", "--json", database_url=make_conninfo(database, user=role)))
    finally:
        with psycopg.connect(database) as connection:
            connection.execute(f"DROP ROLE {role}".encode())
    assert found["schema"]["found"].endswith(f"as the owner, run `licet migrate --grant-to {role}`")
