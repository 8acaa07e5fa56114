"""`licet partition`, `dead`, `verify` and `prune`: what they print, and the exit code that a shell would see."""

import asyncio
import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from cli.said import Cli
from licet.queue.postgres import log_name
from support.logs import PostgresWire
from support.world import Log, Road, rows

SIGNED = {"SignedTos": True, "SKU1": True}


@pytest.fixture
def road(database: str) -> Iterator[Road]:
    """The applier of the database's own queue, with two letters: one with an event id, one without."""
    log = Log(log_name(database))
    built = Road(database, log.name)
    wrong = log.change({"Id": "acme", "SKU1": "yes"}, event_id="one")
    built.apply(wrong, log.raw(None, b"\xff", []), log.change({"Id": "acme", **SIGNED}))
    yield built
    built.close()


def queued(url: str) -> int:
    found: int = rows(url, "SELECT count(*) AS n FROM queue_record")[0]["n"]
    return found


def test_letters_are_listed_shown_and_dropped(stored: Cli, road: Road) -> None:
    lines = stored("dead", "list").out.splitlines()
    assert [line.split("\t")[:4] for line in lines] == [
        ["2", "open", "unreadable", "1"],
        ["1", "open", "unreadable", "1"],
    ]
    assert lines[1].endswith("/0/0")
    shown = json.loads(stored("dead", "show", "1").out)
    assert (shown["event_id"], shown["text"]) == ("one", '{"Id":"acme","SKU1":"yes"}')
    assert stored("dead", "drop", "2", "--reason", "noise").code == 0
    assert stored("dead", "drop", "2", "--reason", "noise").code == 1
    assert stored("dead", "show", "9").code == 1
    assert len(stored("dead", "list").out.splitlines()) == 1
    assert len(stored("dead", "list", "--all").out.splitlines()) == 2


def test_a_bulk_replay_replays_what_it_can_and_a_run_goes_on_where_it_stood(
    stored: Cli, road: Road, database: str
) -> None:
    said = stored("dead", "replay", "--all")
    assert said.code == 0, said
    run = re.fullmatch(r"1 replayed, 1 cannot be replayed \(run ([0-9a-f-]{36})\)\n", said.out)
    assert run
    assert queued(database) == 1
    again = stored("dead", "replay", "--all", "--run", run[1])
    assert again.out.startswith("0 replayed, 1 cannot be replayed")
    assert stored("dead", "replay", "--all").out.startswith("0 replayed"), "it is on its way: not replayed twice"
    assert stored("dead", "replay", "1").code == 1
    assert queued(database) == 1


def test_a_letter_is_named_or_all_are(stored: Cli) -> None:
    assert stored("dead", "replay").code == 2
    assert stored("dead", "replay", "1", "--all").code == 2
    assert stored("dead", "replay", "--all", "--run", "x").code == 2


def test_stopped_partitions_are_shown_accepted_and_resumed(stored: Cli, road: Road, database: str) -> None:
    assert stored("partition", "show").code == 0
    assert stored("partition", "resume", "0").code == 1
    asyncio.run(PostgresWire(database).log().close())
    for partition in (0, 1):
        road.applier.stop(partition, "refused", "a test")
    shown = stored("partition", "show")
    assert shown.code == 1
    assert shown.out.splitlines()[0].split("\t")[:3] == ["0", "refused", "3"]
    assert stored("partition", "accept").code == 2
    assert stored("partition", "accept", "0", "--offset", "7").code == 2
    assert stored("partition", "accept", "0").out == "partition 0 goes on at 0; it stood at 3\n"
    assert stored("partition", "resume", "--all").out == "partition 1 tries again\n"
    assert stored("partition", "show").code == 0
    kept = rows(database, "SELECT action, author FROM partition_decision ORDER BY decision_id")
    assert [row["action"] for row in kept] == ["accept", "resume"]
    assert all(row["author"] for row in kept)


def test_verify_tells_by_its_exit_code(stored: Cli, road: Road, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE queue_partition SET next_offset = 3 WHERE partition = 0")
        clean = stored("verify")
        assert (clean.code, clean.out) == (0, "1 partitions, 1 deliveries, 1 customers: no faults\n")
        connection.execute("UPDATE delivery SET payload = NULL")
        assert stored("verify").code == 3
        connection.execute("UPDATE consumer_offset SET next_offset = 2")
    said = stored("verify", "--json")
    assert said.code == 1
    assert json.loads(said.out)["fault_count"] == 1


def test_prune_empties_old_payloads_and_closed_letters_and_keeps_what_deduplicates(
    stored: Cli, road: Road, database: str
) -> None:
    assert stored("prune").code == 2
    stored("dead", "drop", "2", "--reason", "noise")
    assert stored("prune", payload_days="1").out == "0 payloads emptied\n"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE revision_log SET recorded_at = recorded_at - interval '3 days'")
        connection.execute("UPDATE dead_letter SET recorded_at = recorded_at - interval '3 days'")
    assert stored("prune", payload_days="1").out == "3 payloads emptied\n"
    assert rows(database, "SELECT count(*) AS n FROM delivery WHERE payload_hash IS NOT NULL")[0]["n"] == 3
    assert [row["value"] is None for row in rows(database, "SELECT value FROM dead_letter ORDER BY letter")] == [
        False,
        True,
    ]
