"""``licet keys``."""

import json
import re

import psycopg
import pytest

from cli.said import Cli, Said
from licet.cli.settings import operator


def columns(said: Said) -> list[list[str]]:
    """The rows of a listing: key, name, scopes, author, created, last used, revoked."""
    assert said.code == 0, said
    return [line.split("\t") for line in said.out.splitlines()]


def test_a_key_is_printed_once_and_only_its_hash_is_kept(stored: Cli, database: str) -> None:
    made = stored("keys", "create", "billing-app", "--scope", "read", "--scope", "explain")
    assert made.code == 0
    token = made.out.strip()
    assert re.fullmatch(r"licet_[a-z0-9]+_[A-Za-z0-9_-]{43,}", token)
    _, key_id, secret = token.split("_", 2)
    assert f"key {key_id} for billing-app" in made.err
    with psycopg.connect(database) as connection:
        kept = str(connection.execute("SELECT * FROM api_key").fetchall())
    assert key_id in kept
    assert secret not in kept


def test_keys_are_listed_for_scripts_in_columns_that_are_never_cut(stored: Cli) -> None:
    name = "the application of a department with a name that fills more than a line of a terminal"
    first = stored("keys", "create", name, "--scope", "admin").out.split("_")[1]
    second = stored("keys", "create", "b", "--scope", "write", "--scope", "read").out.split("_")[1]
    rows = columns(stored("keys", "list"))
    assert [row[:4] for row in rows] == [
        [first, name, "admin", operator().name],
        [second, "b", "read write", operator().name],
    ]
    assert all(row[4] and row[5:] == ["", ""] for row in rows)


def test_a_terminal_gets_a_table_with_headings(stored: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    stored("keys", "create", "billing-app", "--scope", "read")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    said = stored("keys", "list")
    assert "Last used" in said.out
    assert "billing-app" in said.out


def test_a_revoked_key_stays_in_the_list_and_the_first_time_counts(stored: Cli) -> None:
    key_id = stored("keys", "create", "billing-app", "--scope", "read").out.split("_")[1]
    revoked = stored("keys", "revoke", key_id)
    assert (revoked.code, revoked.out) == (0, f"key {key_id} (billing-app) is revoked\n")
    ((*_, first),) = columns(stored("keys", "list"))
    assert first
    assert stored("keys", "revoke", key_id).code == 0
    ((*_, again),) = columns(stored("keys", "list"))
    assert again == first


def test_a_key_that_is_not_there_cannot_be_revoked(stored: Cli) -> None:
    said = stored("keys", "revoke", "nobody")
    assert said.code == 1
    assert 'there is no key "nobody"; `licet keys list` names them' in said.err


def test_all_faults_of_a_new_key_are_named(stored: Cli) -> None:
    said = stored("keys", "create", " ", "--scope", "reed", "--scope", "read", "--scope", "rite")
    assert said.code == 2
    assert len(said.err.splitlines()) == 3
    assert 'found "reed", expected admin, explain, ingest, read, snapshot, support, write' in said.err
    assert columns(stored("keys", "list")) == []


@pytest.mark.parametrize("command", [("keys", "list"), ("catalog", "show")])
def test_a_database_that_was_not_migrated_is_named_with_the_command_that_helps(
    cli: Cli, empty_database: str, command: tuple[str, ...]
) -> None:
    said = cli(*command, database_url=empty_database)
    assert said.code == 2
    assert "licet migrate" in said.err


def test_json_says_the_same_with_its_types(stored: Cli) -> None:
    made = json.loads(stored("keys", "create", "billing-app", "--scope", "read", "--json").out)
    assert made["token"].split("_")[1] == made["key"]
    (listed,) = json.loads(stored("keys", "list", "--json").out)
    assert (listed["key"], listed["scopes"], listed["revoked"]) == (made["key"], ["read"], None)
    revoked = json.loads(stored("keys", "revoke", made["key"], "--json").out)
    assert revoked["revoked"] == json.loads(stored("keys", "list", "--json").out)[0]["revoked"] is not None
    assert made["key"] in stored("keys", "list").out.split("\t")[0], "what one command was told does not stay"
