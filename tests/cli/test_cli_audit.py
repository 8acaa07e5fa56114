"""The audit: every human write leaves an entry, and no entry is ever changed, whoever asks."""

import asyncio
import datetime as dt
import json
import pathlib
import re
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from cli.said import Cli
from licet.bootstrap.desks import audit_lines, customer_desk
from licet.cli.settings import operator
from licet.queue.postgres import log_name
from licet.settings import Settings
from licet.store.values import Action
from support.logs import PostgresWire
from support.web import running_web
from support.world import TESTER, Log, Road, brake, rows

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/custom-fields.toml"
PASSWORD = uuid.uuid4().hex
CHANGES = ("UPDATE audit_entry SET actor = 'nobody'", "DELETE FROM audit_entry", "TRUNCATE audit_entry")


def entries(url: str) -> list[dict[str, object]]:
    return rows(url, "SELECT action, subject, customer_id, actor, via, reason FROM audit_entry ORDER BY entry_id")


def hold(url: str) -> None:
    """Let two licenses end, of which the safety brake holds one."""
    log = Log()
    road = Road(url, log.name, brake=brake(most=1))
    for flag in (True, False):
        road.apply(*(log.change({"Id": name, "SignedTos": True, "SKU1": flag}) for name in ("one", "two")))
    road.close()


def test_every_human_write_leaves_its_entry_with_who_did_it(stored: Cli, database: str, tmp_path: pathlib.Path) -> None:
    log = Log(log_name(database))
    road = Road(database, log.name)
    road.apply(*(log.change({"Id": "acme", "SKU1": "yes"}, event_id=f"e{n}") for n in range(3)))
    road.apply(log.change({"Id": "acme", "IsDeleted": True}), log.change({"Id": "umbrella"}))
    asyncio.run(PostgresWire(database).log().close())
    road.applier.stop(0, "refused", "a test")
    road.applier.stop(1, "refused", "a test")
    key = stored("keys", "create", "billing", "--scope", "write").out.split("_")[1]
    for _ in range(2):
        stored("keys", "revoke", key)
    stored("dead", "drop", "1", "--reason", "noise")
    stored("dead", "replay", "2")
    stored("dead", "replay", "--all")
    stored("partition", "accept", "0")
    stored("partition", "resume", "1")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE revision_log SET recorded_at = recorded_at - interval '3 days'")
    stored("prune", payload_days="1")
    granted = stored("grant", "umbrella", "SKU2", "--reason", "case 4711").out.partition(":")[0]
    assert stored("override", "end", granted, "--reason", "bought").code == 0
    stored("customer", "restore", "acme", "--reason", "a mistake")
    assert stored("customer", "erase", "acme", "--reason", "asked for").code == 2, "nobody could be asked"
    assert stored("customer", "erase", "acme", "--reason", "asked for", "--yes").code == 0
    hold(database)
    assert stored("brake", "restore", "--reason", "a bad load", "--yes").code == 0
    assert stored("brake", "release", "--reason", "meant", "--yes").code == 0
    assert stored("console", "link").code == 0
    assert stored("console", "end", "ada", "--reason", "left").code == 0
    assert stored("console", "end", "--reason", "of whom?").code == 2
    assert stored("catalog", "apply", str(EXAMPLE)).code == 0
    (tmp_path / "full.csv").write_text("Id,SystemModstamp\nnew,2026-03-02T10:00:00Z\n")
    assert stored("reconcile", str(tmp_path / "full.csv"), "--repair").code == 1
    with running_web(database) as web:
        for method in ("PUT", "PUT", "DELETE", "DELETE"):  # a second time nothing is written
            for path in ("users/ada", "domains/umbrella.example", "aliases/tenant:1"):
                assert web.ask(method, f"/v1/customers/umbrella/{path}").status_code == 200
    road.close()
    found = entries(database)
    assert {Action(str(entry["action"])) for entry in found} == set(Action)
    by_page = [entry for entry in found if entry["via"] == "api"]
    assert [(entry["action"], entry["subject"]) for entry in by_page[:6]] == [
        ("user.put", "ada"),
        ("domain.put", "umbrella.example"),
        ("alias.put", "tenant:1"),
        ("user.delete", "ada"),
        ("domain.delete", "umbrella.example"),
        ("alias.delete", "tenant:1"),
    ]
    assert {entry["actor"] for entry in by_page} == {"bootstrap (bootstrap)"}
    assert {entry["actor"] for entry in found if entry["via"] == "cli"} == {operator().name}
    assert [entry["action"] for entry in found].count("key.revoke") == 1
    [erased] = [entry for entry in found if entry["action"] == "customer.erase"]
    assert (erased["customer_id"], erased["reason"]) == ("acme", "asked for")


def test_an_act_that_is_rolled_back_leaves_no_entry(database: str) -> None:
    log = Log()
    road = Road(database, log.name)
    road.apply(log.change({"Id": "acme", "IsDeleted": True}))
    road.close()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE change_feed ADD CHECK (subject <> 'acme') NOT VALID")
    with pytest.raises(Exception, match="change_feed"):
        customer_desk(Settings(database_url=database)).restore("acme", "why", TESTER)
    assert entries(database) == []


@pytest.mark.parametrize("change", CHANGES)
def test_not_even_a_superuser_changes_an_entry_by_an_ordinary_statement(
    stored: Cli, database: str, change: str
) -> None:
    stored("keys", "create", "billing", "--scope", "write")
    refused = pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="audit entries are history")
    with psycopg.connect(database, autocommit=True) as connection, refused:
        connection.execute(change.encode())
    assert len(entries(database)) == 1


@pytest.fixture
def roles(postgres: str, empty_database: str) -> Iterator[tuple[str, str]]:
    """Two roles of this test: one that may make tables in its database, one that may only connect."""
    name = uuid.uuid4().hex[:8]
    owner, service = f"owner_{name}", f"service_{name}"
    database = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            f"CREATE ROLE {owner} LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE {service} LOGIN PASSWORD '{PASSWORD}'"
        )
        connection.execute(f'ALTER DATABASE "{database}" OWNER TO {owner}')
    try:
        yield owner, service
    finally:
        for url in (empty_database, postgres):
            with psycopg.connect(url, autocommit=True) as connection:
                if url == empty_database:
                    connection.execute(f"DROP OWNED BY {service}, {owner} CASCADE")
                else:
                    connection.execute(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER')
                    connection.execute(f"DROP ROLE {service}; DROP ROLE {owner}")


def test_neither_the_services_role_nor_the_owner_may_change_an_entry(
    cli: Cli, empty_database: str, roles: tuple[str, str]
) -> None:
    owner, service = (make_conninfo(empty_database, user=role, password=PASSWORD) for role in roles)
    assert cli("migrate", "--grant-to", roles[1], database_url=owner).code == 0
    log = Log(log_name(service))
    road = Road(service, log.name)
    assert road.apply(log.change({"Id": "acme", "SignedTos": True, "SKU1": True})) == ["applied"]
    road.close()
    assert cli("keys", "create", "billing", "--scope", "write", database_url=service).code == 0
    assert cli("customer", "erase", "acme", "--reason", "asked for", "--yes", database_url=service).code == 0
    assert cli("catalog", "apply", str(EXAMPLE), database_url=service).code == 0
    with running_web(service) as web:
        web.put("/v1/customers/acme/users/ada")
        assert web.check("mailboxes", user="ada")["customer"] == "acme"
    assert len(entries(empty_database)) == 4
    beyond = ("ALTER TABLE audit_entry DISABLE TRIGGER ALL", "DROP TABLE audit_entry", "DELETE FROM license")
    for role, statements in ((service, CHANGES + beyond), (owner, CHANGES)):
        with psycopg.connect(role, autocommit=True) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
    assert len(entries(empty_database)) == 4


def test_entries_are_listed_by_pages_filtered_and_exported_as_lines(stored: Cli, database: str) -> None:
    keys = [stored("keys", "create", f"k{n}", "--scope", "write").out.split("_")[1] for n in range(3)]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_entry DISABLE TRIGGER USER")
        connection.execute("UPDATE audit_entry SET at = '2026-01-01T00:00:00Z' WHERE entry_id = 1")
    listed = stored("audit", "list", "--limit", "2")
    lines = [line.split("\t") for line in listed.out.splitlines()]
    assert [(line[3], line[5]) for line in lines] == [("key.create", keys[2]), ("key.create", keys[1])]
    cursor = re.search(r"--cursor (\S+)", listed.err)
    assert cursor
    assert stored("audit", "list", "--cursor", cursor[1]).out.split("\t")[5] == keys[0]
    assert stored("audit", "list", "--action", "prune").out == ""
    assert stored("audit", "list", "--actor", "nobody at all").out == ""
    exported = [json.loads(line) for line in stored("audit", "export").out.splitlines()]
    assert [one["subject"] for one in exported] == keys
    assert exported[0]["after"] == {"name": "k0", "scopes": ["write"]}
    assert len(stored("audit", "export", "--since", "2026-01-02").out.splitlines()) == 2
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert len(list(audit_lines(Settings(database_url=database), since))) == 3


def test_the_page_on_the_audit_names_every_action() -> None:
    page = (ROOT / "docs/reference/audit.md").read_text()
    assert set(re.findall(r"^\| `([a-z.]+)`", page, re.MULTILINE)) == {action.value for action in Action}
