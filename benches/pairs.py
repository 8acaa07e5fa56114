"""``python -m benches.pairs COMMIT [check webhook consume visible] [--pairs 10]``: an earlier commit beside this tree.

Both run at the same time on one machine and are measured by turns, so that a slow minute meets both. The ratio is the
median of the pairs', as rates: above 1 this tree is the faster one. Exit code 1 where a ratio is below 0.9.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from tests.support import kafka

from benches import visible
from benches.machine import ROOT, Machine, licet_web, postgres
from benches.table import Row, beside, interleaved, render
from benches.wrk import load, need_wrk

SECONDS = 2
KEPT = 0.9
SMALL = 4_000
# What a child of a tree does for consume: it flips SKUs of all its customers each time that it is told to.
_CONSUME = f"""
import pathlib, sys
import psycopg
from benches import consume
from benches.machine import Machine
consume.CUSTOMERS = {SMALL}
machine = Machine(pathlib.Path(sys.argv[1]), int(sys.argv[2]), frozenset())
with consume.postgres(machine) as (url, _), psycopg.connect(url, autocommit=True) as database, consume._on(machine):
    consume.migrate(url)
    bench = consume._Bench(url, database)
    bench.load()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(consume.CUSTOMERS / bench.flips()[0], flush=True)
"""
# A tree brings in its own customers: what it can be asked differs.
_LOAD = """
import pathlib, sys
from benches import check
from benches.machine import Api, Machine
folder, url, port, *cores = sys.argv[1:]
load = getattr(check, "load_customers", None) or check._load_customers
load(Machine(pathlib.Path(folder), int(cores[0]), frozenset(map(int, cores))), url, Api(int(port)))
print((getattr(check, "read_key", None) or check._read_key)(url))
"""
Rate = Callable[[], float]


@contextlib.contextmanager
def _of(tree: pathlib.Path) -> Iterator[None]:
    """Let what is started run a tree's own Licet: it comes before the installed one."""
    os.environ["PYTHONPATH"] = f"{tree / 'src'}:{tree}"
    try:
        yield
    finally:
        del os.environ["PYTHONPATH"]


@contextlib.contextmanager
def _check(machine: Machine, tree: pathlib.Path) -> Iterator[Rate]:
    with contextlib.ExitStack() as stack:
        with _of(tree):
            url, _ = stack.enter_context(postgres(machine))
            port, pid = stack.enter_context(licet_web(machine, url))
            arguments = [str(machine.folder), url, str(port), *map(str, machine.others)]
            loaded = subprocess.run(
                [sys.executable, "-c", _LOAD, *arguments], cwd=tree, stdout=subprocess.PIPE, text=True, check=True
            )
            key = loaded.stdout.split()[-1]
        yield lambda: load("check", port, pid, seconds=SECONDS, key=key).rate


@contextlib.contextmanager
def _webhook(machine: Machine, tree: pathlib.Path) -> Iterator[Rate]:
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(kafka.running_broker(machine.folder / "kafka"))
        url, _ = stack.enter_context(postgres(machine))
        with _of(tree):
            port, pid = stack.enter_context(licet_web(machine, url, kafka_brokers=broker.bootstrap))
        yield lambda: load("webhook", port, pid, seconds=SECONDS).rate


@contextlib.contextmanager
def _consume(machine: Machine, tree: pathlib.Path) -> Iterator[Rate]:
    with _of(tree):
        child = subprocess.Popen(
            [sys.executable, "-c", _CONSUME, str(machine.folder), str(machine.server)],
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert child.stdin is not None
    assert child.stdout is not None
    sends, says = child.stdin, child.stdout

    def rate() -> float:
        sends.write("go\n")
        sends.flush()
        return float(says.readline())

    try:
        if says.readline() != "ready\n":
            raise RuntimeError(f"the consumer of {tree} did not start")
        yield rate
    finally:
        sends.close()
        child.wait(30)


@contextlib.contextmanager
def _visible(machine: Machine, tree: pathlib.Path) -> Iterator[Rate]:
    """Tell a rate, as the others do: how many times the 99th percentile fits into a second."""
    pace = visible.Pace(100, 4, 1, 250)
    with contextlib.ExitStack() as stack:
        with _of(tree):
            port = stack.enter_context(visible.all_in_one(machine, ""))
        yield lambda: 1000 / visible.measure(port, "PostgreSQL queue", pace).measured


MEASURES: dict[str, tuple[Callable[[Machine, pathlib.Path], contextlib.AbstractContextManager[Rate]], str]] = {
    "check": (_check, "req/s"),
    "webhook": (_webhook, "posts/s"),
    "consume": (_consume, "changes/s"),
    "visible": (_visible, "1/p99 s"),
}


def _measure(machine: Machine, name: str, before: pathlib.Path, pairs: int) -> Row:
    work, unit = MEASURES[name]
    with contextlib.ExitStack() as stack:
        rates = []
        for what, tree in (("now", ROOT), ("before", before)):
            own = dataclasses.replace(machine, folder=machine.folder / f"{name}-{what}")
            own.folder.mkdir()
            rates.append(stack.enter_context(work(own, tree)))
        for one in rates:
            one()  # what is made at the first use is made
        now, then = interleaved(pairs, *rates)
    row = beside(Row(what=name, measured=statistics.median(now), unit=unit), now, then)
    ratio = row.ratio or 0.0
    spread = ", ".join(f"{one / other:.2f}" for one, other in sorted(zip(now, then, strict=True)))
    return dataclasses.replace(row, bar=f">= {KEPT:.0%}", ok=ratio >= KEPT, note=f"{pairs} pairs: {spread}")


def main() -> int:
    """Run the measures asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benches.pairs", description="An earlier commit beside this tree.")
    parser.add_argument("commit")
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], help="which to run; all by default")
    parser.add_argument("--pairs", type=int, default=10)
    given = parser.parse_args()
    need_wrk()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[1:] or cores))
    with tempfile.TemporaryDirectory(prefix="licet-pairs-") as folder:
        before = pathlib.Path(folder) / "before"
        before.mkdir()
        packed = subprocess.run(["git", "archive", given.commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-x", "-C", before], input=packed, check=True)
        machine = Machine(pathlib.Path(folder), cores[0], frozenset(cores[1:] or cores))
        rows = [_measure(machine, name, before, given.pairs) for name in given.names or MEASURES]
    print(render(rows), f"\nlimit: {given.commit}; {machine.said()}")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
