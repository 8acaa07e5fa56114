"""``licet catalog`` and ``licet migrate``."""

import json
import pathlib
import shlex

import pytest

from cli.said import Cli
from licet.store.migrate import default_catalog
from support.processes import LICET
from support.terminal import Terminal
from support.world import Log, Road, rows

EXAMPLE = pathlib.Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml"

FAULTY = """
[source]
time_zone = "Europe/Pari"
[features.mail]
[skus.SKU1]
flag = "Id"
grants = { mail = false, post = true }
[[exclude]]
name = "nothing"
field = "Type"
"""


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "catalog.toml"


def test_what_is_shown_can_be_applied_and_changes_nothing(stored: Cli, file: pathlib.Path) -> None:
    shown = stored("catalog", "show")
    assert (shown.code, shown.err) == (0, "version 1\n")
    assert "[skus.SKU1]" in shown.out
    file.write_text(shown.out)
    applied = stored("catalog", "apply", str(file))
    assert applied.code == 0
    assert "this catalog is current already" in applied.out
    assert stored("catalog", "show").err == "version 1\n"


def test_a_new_catalog_becomes_the_next_version(stored: Cli) -> None:
    applied = stored("catalog", "apply", str(EXAMPLE))
    assert applied.code == 0
    assert applied.out.splitlines() == [
        "0 of 0 customers are affected: 0 gains, 0 loses, 0 changes",
        "version 2 is current",
        "0 customers brought under it",
    ]
    shown = stored("catalog", "show")
    assert (shown.out, shown.err) == (EXAMPLE.read_text("utf-8"), "version 2\n")


def test_all_faults_of_a_catalog_are_named_and_the_current_one_stays(stored: Cli, file: pathlib.Path) -> None:
    file.write_text(FAULTY)
    said = stored("catalog", "apply", str(file))
    assert said.code == 2
    for words in (
        'catalog.toml:3:1 source.time_zone: found "Europe/Pari", expected an IANA zone',
        'catalog.toml:7:26 skus.SKU1.grants: found "post", expected a feature of the [features] table',
        "catalog.toml:7:12 skus.SKU1.grants.mail: found false, expected true or a number",
        "catalog.toml:9:1 exclude.nothing: found no values, expected equals",
        'catalog.toml:6:1 skus.SKU1.flag: found "Id", expected a field that does not name the change itself',
    ):
        assert words in said.err
    assert len(said.err.splitlines()) == 5
    assert stored("catalog", "show").err == "version 1\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[source\n", "expected TOML"),
        (b"[source]\nidd = 'Id'\n", "idd"),
        (b"[skus.SKU1]\n", "flag"),
        (b"[source]\nid = 7\n", "source.id"),
        (b"\xff\xfe", "catalog.toml"),
    ],
    ids=["no TOML", "an unknown field", "a missing field", "a wrong type", "no UTF-8"],
)
def test_a_file_that_is_no_catalog_says_where_it_is_wrong(
    stored: Cli, file: pathlib.Path, content: bytes, words: str
) -> None:
    file.write_bytes(content)
    said = stored("catalog", "apply", str(file))
    assert said.code == 2
    assert words in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_not_there_is_named(stored: Cli, file: pathlib.Path) -> None:
    said = stored("catalog", "apply", str(file))
    assert said.code == 2
    assert str(file) in said.err


@pytest.fixture
def three(database: str, file: pathlib.Path) -> pathlib.Path:
    """Three customers with SKU1, one with SKU2 only, and a catalog under which SKU1 no longer grants anything."""
    log = Log()
    road = Road(database, log.name)
    for number in range(4):
        sold = "SKU1" if number < 3 else "SKU2"
        road.apply(log.change({"Id": f"c{number}", "Name": f"Customer {number}", "SignedTos": True, sold: True}))
    road.close()
    file.write_text(default_catalog().replace("grants = { inbound-email-security = true }", "grants = {}"))
    return file


def test_a_plan_lists_who_gains_and_loses_what_and_why_and_changes_nothing(stored: Cli, three: pathlib.Path) -> None:
    said = stored("catalog", "plan", str(three))
    *lines, totals = said.out.splitlines()
    change = "loses\tinbound-email-security\tlicensed (SKU1)\tnot_licensed"
    assert lines == [f"c{number}\tCustomer {number}\t{change}" for number in range(3)]
    assert totals == "3 of 4 customers are affected: 0 gains, 3 loses, 0 changes"
    assert "against version 1" in said.err
    assert stored("catalog", "show").err == "version 1\n"


def test_a_plan_that_is_cut_says_so_and_how_to_go_on(stored: Cli, three: pathlib.Path) -> None:
    first = stored("catalog", "plan", str(three), "--limit", "2")
    assert [line[:2] for line in first.out.splitlines()] == ["c0", "c1", "3 "]
    assert "1 changes are not listed: --after c1, or --limit 0" in first.err
    rest = stored("catalog", "plan", str(three), "--limit", "2", "--after", "c1")
    assert [line[:2] for line in rest.out.splitlines()] == ["c2", "1 "]
    assert len(stored("catalog", "plan", str(three), "--limit", "0").out.splitlines()) == 4


def test_a_plan_for_programs_is_lines_of_json(stored: Cli, three: pathlib.Path) -> None:
    *effects, last = [json.loads(line) for line in stored("catalog", "plan", str(three), "--json").out.splitlines()]
    assert [(one["customer"], one["effect"], one["before"]["sku"]) for one in effects] == [
        (f"c{number}", "loses", "SKU1") for number in range(3)
    ]
    assert last == {"totals": {"customers": 4, "affected": 3, "effects": {"gains": 0, "loses": 3, "changes": 0}}}


def test_on_a_terminal_a_plan_fits_its_width_and_apply_asks_first(database: str, three: pathlib.Path) -> None:
    environment = {"LICET_DATABASE_URL": database}
    with Terminal([*LICET, "catalog", "plan", str(three)], three.parent, environment) as terminal:
        assert terminal.ended(30) == 0, terminal.text
        assert "inbound-ema" in terminal.text
        assert max(len(line) for line in terminal.text.splitlines()) <= 80
    for answer, code, version in (("n", 1, 1), ("y", 0, 2)):
        with Terminal([*LICET, "catalog", "apply", str(three)], three.parent, environment) as terminal:
            terminal.wait_for(r"replace version 1 of the catalog\?", 30)
            terminal.enter(answer)
            assert terminal.ended(30) == code
        assert rows(database, "SELECT max(version) AS n FROM catalog_version") == [{"n": version}]


def test_a_long_plan_that_is_piped_from_a_terminal_is_whole(database: str, three: pathlib.Path) -> None:
    log = Log()
    road = Road(database, log.name)
    road.apply(*(log.change({"Id": f"d{number}", "SignedTos": True, "SKU1": True}) for number in range(600)))
    road.close()
    piped = shlex.join([*LICET, "catalog", "plan", str(three), "--limit", "0"]) + " > plan.txt"
    with Terminal(["/bin/sh", "-c", piped], three.parent, {"LICET_DATABASE_URL": database}) as terminal:
        assert terminal.ended(30) == 0, terminal.text
    assert len((three.parent / "plan.txt").read_text().splitlines()) == 604, "none of it went where the bar is"


def test_migrating_says_what_it_applied_and_twice_applies_nothing(cli: Cli, empty_database: str) -> None:
    first = cli("migrate", database_url=empty_database)
    assert first.code == 0
    assert first.out.startswith("applied 0001_road.sql\n")
    second = cli("migrate", database_url=empty_database)
    assert (second.code, second.out) == (0, "the database is at this release's schema\n")


def test_a_fresh_store_takes_the_catalog_of_the_setting_and_a_later_one_is_not_touched(
    cli: Cli, empty_database: str, file: pathlib.Path
) -> None:
    missing = cli("migrate", database_url=empty_database, catalog=str(file))
    assert missing.code == 2
    assert "LICET_CATALOG" in missing.err
    assert str(file) in missing.err
    file.write_text(FAULTY)
    faulty = cli("migrate", database_url=empty_database, catalog=str(file))
    assert faulty.code == 2
    assert "licet: 3:1 source.time_zone" in faulty.err
    assert cli("migrate", database_url=empty_database, catalog=str(EXAMPLE)).code == 0
    assert cli("migrate", database_url=empty_database, catalog=str(EXAMPLE)).code == 0
    shown = cli("catalog", "show", database_url=empty_database)
    assert (shown.out, shown.err) == (EXAMPLE.read_text("utf-8"), "version 1\n")
