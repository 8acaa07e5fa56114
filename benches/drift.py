"""A full export of a million customers against the store: seconds, memory, and every planted difference found.

Customers are made by SQL straight in the store (``_FILL``). The export is Licet's own; 250 customers of each kind are
then made to differ in it: left out, added, another value, a SKU that the catalog does not know. At last the store is
emptied, and the whole export is published as repairs.
"""

import csv
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Sequence

import psycopg

from benches.machine import LICET, Machine, environment, postgres
from benches.table import Row, below
from licet.store.migrate import migrate

MILLION = 1_000_000
EACH = 250
SECONDS_BAR = 60
MEGABYTES_BAR = 500
_FILL = """
    INSERT INTO customer
    SELECT '0015g' || lpad(i::text, 13, '0'), 'customer ' || i, 'manager ' || i %% 500, NULL, false,
           json_build_object(
               'Name', json_build_array('customer ' || i, 1, 1767225600000000, true),
               'AccountManager', json_build_array('manager ' || i %% 500, 1, 1767225600000000, true),
               'SignedTos', json_build_array(i %% 10 > 0, 1, 1767225600000000, true),
               'SKU1', json_build_array(i %% 2 = 0, 1, 1767225600000000, true),
               'SKU2', json_build_array(i %% 3 = 0, 1, 1767225600000000, true),
               'SKU3', json_build_array(i %% 5 = 0, 1, 1767225600000000, true),
               'Website', json_build_array('https://example.com/' || i, 1, 1767225600000000, true)),
           1, 1, 2, now(), now()
    FROM generate_series(0, %(count)s - 1) i
"""


def run(machine: Machine) -> list[Row]:
    """Export, plant, reconcile."""
    with postgres(machine) as (url, _):
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_FILL, {"count": MILLION})
            connection.execute("VACUUM ANALYZE customer")
        exported, planted = machine.folder / "exported.csv", machine.folder / "planted.csv"
        export_s, export_mb, code, _ = _timed(machine, url, "export", str(exported))
        if code:
            raise AssertionError(f"licet export ended with {code}")
        wanted = _plant(exported, planted)
        rows = str(MILLION - EACH + EACH)
        seconds, megabytes, code, out = _timed(machine, url, "reconcile", str(planted), "--json", "--rows", rows)
        found = {(one["kind"], one["customer"], one["field"]) for one in map(json.loads, out) if "totals" not in one}
        if code != 1 or found != wanted or len(out) != len(wanted) + 1:
            raise AssertionError(f"exit code {code}, {len(found ^ wanted)} differences too many or too few")
        equal_s, _, code, _ = _timed(machine, url, "reconcile", str(exported))
        if code:
            raise AssertionError(f"the export differs from the store that wrote it: exit code {code}")
        repair_s, repair_mb = _repair(machine, url, exported)
    note = f"all {len(wanted):,} planted differences found, no other; {equal_s:.0f} s where all are equal"
    return [
        below(Row(what="reconcile 1,000,000 rows", measured=seconds, unit="s", note=note), SECONDS_BAR),
        below(Row(what="reconcile, peak resident", measured=megabytes, unit="MB"), MEGABYTES_BAR),
        Row(what="repair 1,000,000 missing", measured=repair_s, unit="s", note=f"{repair_mb:.0f} MB resident"),
        Row(what="export 1,000,000 customers", measured=export_s, unit="s", note=f"{export_mb:.0f} MB resident"),
    ]


def _repair(machine: Machine, url: str, exported: pathlib.Path) -> tuple[float, float]:
    """Publish every customer to the queue as one that is missing; returns seconds and peak memory in MB."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE customer")
        seconds, megabytes, _, out = _timed(machine, url, "reconcile", str(exported), "--repair")
        [(sent,)] = connection.execute("SELECT count(*) FROM queue_record")
    if sent != MILLION:
        raise AssertionError(f"{sent} repairs are in the queue: {out[-1]}")
    return seconds, megabytes


def _timed(machine: Machine, url: str, *arguments: str) -> tuple[float, float, int, Sequence[str]]:
    """Run a command; returns its seconds, its peak memory in MB, its exit code and the lines it printed."""
    printed, began = machine.folder / "printed", time.perf_counter()
    with printed.open("wb") as out:
        command = ["taskset", "-c", str(machine.server), *LICET, *arguments]
        child = subprocess.Popen(command, env=environment(database_url=url), stdout=out)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    lines = printed.read_text().splitlines()
    return time.perf_counter() - began, used.ru_maxrss / 1024, child.returncode, lines


def _plant(exported: pathlib.Path, planted: pathlib.Path) -> set[tuple[str, str, str | None]]:
    """Write the export with differences; returns (kind, customer, field) of each."""
    wanted: set[tuple[str, str, str | None]] = set()
    with exported.open(newline="") as source, planted.open("w", newline="") as target:
        reading, writing = csv.reader(source), csv.writer(target, lineterminator="\n")
        columns = next(reading)
        at = {column: index for index, column in enumerate(columns)}
        writing.writerow([*columns, "SKU4"])
        for number, row in enumerate(reading):
            customer, spot = row[0], number % (MILLION // EACH)
            if customer == "#rows":
                continue
            unknown = ""
            if spot == 7:
                wanted.add(("extra", customer, None))
                continue
            if spot == 1007:
                row[at["AccountManager"]] = "another"
                wanted.add(("different", customer, "AccountManager"))
            if spot == 2007:
                unknown = "true"
                wanted.add(("unknown_sku", customer, "SKU4"))
            writing.writerow([*row, unknown])
        for number in range(EACH):
            customer = f"0019z{number:013d}"
            writing.writerow([customer, *[""] * len(columns)])
            wanted.add(("missing", customer, None))
    return wanted
