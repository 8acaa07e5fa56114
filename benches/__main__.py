"""``python -m benches [NAME …] [--json FILE]``; ``--help`` lists the names.

Exit codes: 0 every bar is held; 1 a bar is short or a bench failed; 3 a bench was left out (0 with BENCH_OPTIONAL=1).
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

from benches import (
    batch,
    check,
    console,
    consume,
    drift,
    enforce,
    history,
    million,
    outage,
    sdk,
    slow,
    stream,
    up,
    visible,
    webhook,
)
from benches.machine import Machine
from benches.table import Row, Skipped, render

BENCHES = {
    "check": check.run,
    "batch": batch.run,
    "stream": stream.run,
    "webhook": webhook.run,
    "consume": consume.run,
    "visible": visible.run,
    "enforce": enforce.run,
    "million": million.run,
    "history": history.run,
    "drift": drift.run,
    "console": console.run,
    "sdk": sdk.run,
    "up": up.run,
    "slow": slow.run,
    "outage": outage.run,
}


def main() -> int:
    """Run the benches asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benches", description="Licet's speed, beside its limits.")
    parser.add_argument("names", nargs="*", metavar="|".join(BENCHES), help="which to run; all by default")
    parser.add_argument("--json", type=pathlib.Path, help="write the rows to this file, too")
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHES.keys():
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    if not hasattr(os, "sched_setaffinity") or shutil.which("taskset") is None:
        parser.error("the benches give the server a core of its own, which needs Linux and taskset (util-linux)")
    began, load = time.monotonic(), os.getloadavg()[0]
    cores = sorted(os.sched_getaffinity(0))
    machine = Machine(pathlib.Path(), cores[0], frozenset(cores[1:] or cores))
    # What the benches start stays off the server's core, unless it is the server.
    os.sched_setaffinity(0, machine.others)
    rows: list[Row] = []
    left_out, failed = [], []
    for name in given.names or BENCHES:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            with tempfile.TemporaryDirectory(prefix=f"licet-bench-{name}-") as folder:
                rows += BENCHES[name](dataclasses.replace(machine, folder=pathlib.Path(folder)))
        except Skipped as skipped:
            left_out.append(f"{name}: {skipped}")
        except Exception:  # noqa: BLE001 the figures of the others must not be lost; the exit code tells
            traceback.print_exc()
            failed.append(name)
    said = f"{machine.said()}; load before {load:.1f}, after {os.getloadavg()[0]:.1f}"
    print(f"\n{render(rows)}\n\n{said}; {time.monotonic() - began:.0f} s")
    if given.json:
        written = {
            "about": said,
            "left_out": left_out,
            "failed": failed,
            "rows": [dataclasses.asdict(row) for row in rows],
        }
        given.json.write_text(json.dumps(written, indent=2) + "\n")
    for reason in left_out:
        print(f"LEFT OUT {reason}", file=sys.stderr)
    for name in failed:
        print(f"FAILED {name}: see above", file=sys.stderr)
    if failed or any(row.ok is False for row in rows):
        return 1
    return 3 if left_out and os.environ.get("BENCH_OPTIONAL") != "1" else 0


if __name__ == "__main__":
    sys.exit(main())
