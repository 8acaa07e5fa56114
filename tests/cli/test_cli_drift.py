"""`licet export` and `licet reconcile`: what they print, the exit code, and what is kept."""

import csv
import datetime as dt
import io
import json
import pathlib
from collections.abc import Callable, Iterator

import pytest

from cli.said import Cli, Said
from licet.queue.message import read_envelope, unpack_headers
from support.logs import KafkaWire, read
from support.mock_cluster import MockCluster
from support.world import Log, Road, apply_catalog, rows

CATALOG = """
[source]
time_zone = "Europe/Paris"
[skus.SKU1]
flag = "SKU1"
from = "SKU1_From"
until = "SKU1_Until"
quantity = "SKU1_Seats"
[[exclude]]
name = "tests"
field = "Kind"
equals = ["Test"]
"""
FULL = {
    "Name": 'Acme,\r "the" one\nand only',
    "SalesEngineerId": "x" * 140_000,  # longer than a field that Python's reader takes by itself
    "SignedTos": True,
    "SKU1": True,
    "SKU1_From": "2026-11-23",
    "SKU1_Until": "2026-12-31",
    "SKU1_Seats": 5,
    "SystemModstamp": "2026-03-01T10:00:00.000+0000",
}
ACME = "acme,Acme,true,true,2026-11-23,2026-12-31,5"
HEADS = "Id,Name,SignedTos,SKU1,SKU1_From,SKU1_Until,SKU1_Seats"
Reconcile = Callable[..., Said]


@pytest.fixture
def road(database: str) -> Iterator[Road]:
    """Two customers, and a deleted one."""
    apply_catalog(database, CATALOG)
    log = Log()
    built = Road(database, log.name)
    beta = log.change({"Id": "beta", "Name": "Beta", "SKU1": False})
    built.apply(log.change({"Id": "acme", **FULL}), beta, log.change({"Id": "gone", "Name": "Gone"}))
    built.apply(log.change({"Id": "gone", "IsDeleted": True}))
    yield built
    built.close()


@pytest.fixture
def reconcile(stored: Cli, road: Road, tmp_path: pathlib.Path) -> Reconcile:
    """Reconcile with a CSV file of these lines."""

    def run(*lines: str, options: tuple[str, ...] = ("--csv",)) -> Said:
        file = tmp_path / "full.csv"
        file.write_text("\n".join([*lines, ""]))
        return stored("reconcile", str(file), *options)

    return run


def test_what_is_exported_is_equal(stored: Cli, road: Road, tmp_path: pathlib.Path) -> None:
    for name in ("all.csv", "all.jsonl"):
        file = tmp_path / name
        assert stored("export", str(file)).err.endswith("3 customers\n")
        said = stored("reconcile", str(file), "--rows", "3")
        assert said.code == 0, said
        assert said.out.startswith("3 rows at revision")
        assert stored("reconcile", str(file), "--rows", "4").code == 2
    with (tmp_path / "all.csv").open(newline="") as text:
        first = next(csv.DictReader(text))
    assert (first["Id"], first["Name"], first["SKU1"]) == ("acme", FULL["Name"], "true")
    assert first["SystemModstamp"] == "2026-03-01T10:00:00.000000Z"
    assert stored("export", "-", "--jsonl").out.splitlines()[-1] == '{"#rows":3}'


def test_a_truncated_export_is_noticed(stored: Cli, reconcile: Reconcile) -> None:
    lines = stored("export", "-").out.splitlines()
    said = reconcile(*lines[:-2], lines[-1])
    assert said.code == 2
    assert "found 2 rows, expected 3, as its last row says" in said.err


def test_each_kind_of_drift_is_told(reconcile: Reconcile, database: str) -> None:
    said = reconcile(
        f"{HEADS},SKU9,Kind,SKU_Note",
        f"{ACME.replace(',5', ',6')},true,,true",
        "new,New,,true,,,,,,",
        "gone,Gone,,,,,,false,,no",
        "sandbox,Test,,true,,,,true,Test,",
    )
    assert said.code == 1, said
    told = list(csv.reader(io.StringIO(said.out)))
    assert told[0] == ["kind", "customer", "line", "field", "found", "expected"]
    assert (
        sorted(told[1:])
        == [
            ["different", "acme", "2", "SKU1_Seats", "5", "6"],
            ["different", "gone", "4", "IsDeleted", "true", "false"],
            ["extra", "beta", "", "", "", ""],
            ["missing", "new", "3", "", "", ""],
            ["unknown_sku", "acme", "2", "SKU9", "null", "true"],
            ["unknown_sku", "acme", "2", "SKU_Note", "null", "true"],
        ]
        or said.out
    )
    (kept,) = rows(database, "SELECT * FROM reconciliation")
    kinds = {kind: kept[kind] for kind in ("rows", "excluded", "missing", "extra", "different", "unknown_sku")}
    assert kinds == {"rows": 4, "excluded": 1, "missing": 1, "extra": 1, "different": 2, "unknown_sku": 1}
    assert kept["file"] == "full.csv"
    assert kept["actor"]


@pytest.mark.parametrize(
    ("column", "cell", "off"),
    [
        ("SKU1_From", "2026-11-22T23:00:00.000Z", False),  # midnight in Paris
        ("SKU1_From", "2026-11-22T23:00:01.000Z", True),
        ("SKU1_Until", "2026-12-31T23:00:00.000+0000", False),  # a date is inclusive
        ("SKU1_Until", "2026-12-31T00:00:00Z", True),
        ("SKU1_Until", "", True),
        ("SKU1_Seats", "5.0", False),
        ("SKU1", "", False),  # a flag that is null says nothing
        ("SKU1", "TRUE", False),
        ("SKU1", "false", True),
        ("AccountManager", "", False),
        ("AccountManager", "Ada", True),
    ],
)
def test_values_are_compared_by_what_they_mean(reconcile: Reconcile, column: str, cell: str, *, off: bool) -> None:
    said = reconcile(f"Id,{column}", f"acme,{cell}", "beta,", options=("--json",))
    found = [json.loads(line) for line in said.out.splitlines()[:-1]]
    of_acme = [one["field"] for one in found if one["customer"] == "acme"]
    assert of_acme == ([column] if off else [])


def test_bad_rows_are_told_by_line_and_nothing_is_compared(reconcile: Reconcile, database: str) -> None:
    said = reconcile(HEADS, "acme,Acme,yes,true,,,", "beta,Beta", "acme,Acme,,,soon,,-1", "beta,B,,,,,", "beta,B,,,,,")
    assert said.code == 2
    for told in (
        'line 2, SignedTos: found "yes", expected true, false or null',
        "line 3, the row: found 2 cells, expected 7, as in the header row",
        'line 4, SKU1_From: found "soon"',
        "line 4, SKU1_Seats: found the number -1",
        "line 6: found customer beta again, expected each once; the first is at line 5",
    ):
        assert told in said.err
    assert rows(database, "SELECT * FROM reconciliation") == []
    assert reconcile("Name", "Acme").code == 2
    assert reconcile(HEADS, '"acme,Acme').code == 2
    assert reconcile(HEADS, "#rows,0", "acme,,,,,,").code == 2


def test_lines_of_json_are_read_as_strictly_as_the_door_reads(stored: Cli, road: Road, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "full.jsonl"
    file.write_text('{"Id":"acme","SKU1":true,"SKU1":false}\n\n["beta"]\n{"Name":"nobody"}\n')
    said = stored("reconcile", str(file))
    assert said.code == 2
    assert [line.split(",")[0] for line in said.err.split("\n") if line] == [
        f"licet: line {number}" for number in (1, 2, 3, 4)
    ]
    assert stored("reconcile", str(tmp_path / "full.xlsx")).code == 2
    assert stored("reconcile", str(tmp_path / "none.csv")).code == 2


def test_the_table_lists_up_to_a_limit(reconcile: Reconcile) -> None:
    said = reconcile("Id", *(f"new-{number}" for number in range(110)), options=())
    assert said.code == 1
    assert len(said.out.splitlines()) == 100 + 1
    assert "12 more are not listed" in said.err


def test_json_of_one_command_is_not_that_of_the_next(stored: Cli, reconcile: Reconcile) -> None:
    assert json.loads(stored("keys", "list", "--json").out) == []
    assert stored("keys", "revoke", "nobody", "--json").code == 1, "nor where it failed"
    assert reconcile("Id", "new", options=()).out.startswith("extra\tacme\t")


STAMPED = "Id,SKU1,SKU9,SystemModstamp"
OFF = (
    "acme,false,,2026-02-01T10:00:00Z",  # Licet has something newer
    "beta,true,true,2026-03-02T10:00:00Z",  # its sender has no times
    "new,true,,2026-03-02T10:00:00Z",
)
HELD = {
    ("acme", "different"): "held back: changed since",
    ("beta", "different"): "held back: no --exported-at",
    ("beta", "unknown_sku"): "held back: unknown SKU",
    ("new", "missing"): "planned",
}


@pytest.mark.parametrize("form", ["--csv", "--json", None])
def test_what_is_repaired_and_what_is_held_back_is_listed(
    reconcile: Reconcile, database: str, form: str | None
) -> None:
    options = ("--repair", form) if form is not None else ("--repair",)
    said = reconcile(STAMPED, *OFF, options=options)
    assert said.code == 1, said
    if form == "--json":
        found = [json.loads(line) for line in said.out.splitlines()]
        assert {(one["customer"], one["kind"]): one["repair"] for one in found[:-1]} == HELD
        assert (found[-1]["totals"]["repaired"], found[-1]["totals"]["held_back"]) == (1, 2)
    elif form == "--csv":
        told = list(csv.DictReader(io.StringIO(said.out)))
        assert {(one["customer"], one["kind"]): one["repair"] for one in told} == HELD
        assert "1 repairs published, 2 customers held back" in said.err
    else:
        lines = [line.split("\t") for line in said.out.splitlines()[:-2]]
        assert {(line[1], line[0]): line[-1] for line in lines} == HELD
    [sent] = rows(database, "SELECT * FROM queue_record")
    payload = {"Id": "new", "SystemModstamp": "2026-03-02T10:00:00Z", "SKU1": True}
    assert json.loads(bytes(sent["value"])) == payload
    [moment] = rows(database, "SELECT revision, sequence FROM revision")
    headers = dict(unpack_headers(bytes(sent["headers"])))
    assert headers["licet-compared-at"] == "{revision}/{sequence}".format(**moment).encode()


def test_a_deletion_is_published_where_it_is_asked_for_and_the_file_is_whole(
    reconcile: Reconcile, database: str
) -> None:
    now = dt.datetime.now(dt.UTC).isoformat()
    asked = ("--repair", "--exported-at", now, "--csv")
    lines = ("Id", "acme", "beta", "#rows,2")
    assert reconcile(*lines, options=asked).code == 0
    left = reconcile("Id", "beta", "#rows,1", options=asked)
    assert "extra,acme,,,,,held back: no --delete-missing" in left.out
    refused = reconcile("Id", "beta", "#rows,1", options=(*asked, "--delete-missing"))
    assert refused.code == 2
    assert "found 1 of the store's 2 living customers, expected at least 1.9" in refused.err
    assert rows(database, "SELECT FROM queue_record") == []
    done = reconcile("Id", "beta", "#rows,1", options=(*asked, "--delete-missing", "--max-share", "50"))
    assert "extra,acme,,,,,deletion planned" in done.out
    [sent] = rows(database, "SELECT value FROM queue_record")
    assert json.loads(bytes(sent["value"]))["IsDeleted"] is True


@pytest.mark.parametrize(
    "options",
    [
        ("--repair", "--exported-at", "2999-01-01T00:00:00Z"),
        ("--repair", "--exported-at", "2026-03-01T10:00:00"),  # in nobody's zone
        ("--repair", "--exported-at", "2026-03-01"),
        ("--repair",),  # and no SystemModstamp
        ("--repair", "--delete-missing"),
        ("--exported-at", "2026-03-01T10:00:00Z"),
        ("--delete-missing",),
    ],
)
def test_a_repair_needs_times_that_order_it(reconcile: Reconcile, database: str, options: tuple[str, ...]) -> None:
    assert reconcile("Id,Name", "acme,Acme", options=options).code == 2
    assert rows(database, "SELECT FROM queue_record") == []


def test_an_export_of_licet_repairs_nothing(stored: Cli, road: Road, tmp_path: pathlib.Path, database: str) -> None:
    for name in ("all.csv", "all.jsonl"):
        now = dt.datetime.now(dt.UTC).isoformat()
        assert stored("export", str(tmp_path / name)).code == 0
        said = stored("reconcile", str(tmp_path / name), "--repair", "--exported-at", now, "--delete-missing")
        assert (said.code, "0 repairs published, 0 customers held back" in said.out) == (0, True)
    assert rows(database, "SELECT FROM queue_record") == []
    assert rows(database, "SELECT FROM audit_entry WHERE action = 'reconcile.repair'") == []


def test_repairs_go_to_kafka_where_kafka_is_used(reconcile: Reconcile, stored: Cli, tmp_path: pathlib.Path) -> None:
    with MockCluster() as cluster:
        reconcile(STAMPED, *OFF)
        wire = KafkaWire.on_mock(cluster)
        to = {"kafka_brokers": cluster.bootstrap, "kafka_topic": wire.topic.name}
        assert stored("reconcile", str(tmp_path / "full.csv"), "--repair", **to).code == 1
        reader = wire.reader()
        [record] = read(reader, 1)
        reader.close()
    assert record.key == b"new"
    assert read_envelope(record).source == "reconcile"
