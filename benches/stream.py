"""Checks while 500 readers follow the stream at 100 changes a second, beside the same without readers."""

import contextlib
import pathlib
import random
import selectors
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial

from benches import check
from benches.machine import KEY, LICET, Api, Machine, environment, eventually, licet_web, postgres, process
from benches.table import Row, beside, interleaved
from benches.wrk import Load, load, need_wrk, told

READERS = 500
CHANGES = 100  # a second
ROUNDS = 5
SECONDS = 4
BAR = 0.9


def run(machine: Machine) -> list[Row]:
    """Measure."""
    need_wrk()
    with postgres(machine) as (url, _), licet_web(machine, url) as (port, web):
        check.load_customers(machine, url, Api(port))
        key = check.read_key(url)
        worker = environment(database_url=url, metrics_port="0", log_level="error")
        with (
            process((*LICET, "worker"), machine.folder / "worker.log", cores=machine.others, env=worker),
            _changing(port) as made,
        ):
            measure = partial(load, "check", port, web, seconds=SECONDS, key=key)

            def followed() -> tuple[Load, int, float]:
                log = machine.folder / "readers.log"
                with _reading(machine, port, log):
                    began, before = time.monotonic(), len(made)
                    found = measure()
                    rate = (len(made) - before) / (time.monotonic() - began)
                return found, int(log.read_text().split()[-1]), rate

            measure()  # plans are made, caches are warm
            alone, read = interleaved(ROUNDS, measure, followed)
    with_, events = [one for one, _, _ in read], statistics.median(events for _, events, _ in read)
    rate = statistics.median(rate for _, _, rate in read)
    rates = [one.rate for one in with_]
    note = f"{told(with_, alone).replace('bare', 'alone')}; {rate:.0f} changes/s, {events:.0f} events to each reader"
    row = Row(what=f"check beside {READERS} readers", measured=statistics.median(rates), unit="req/s", note=note)
    return [beside(row, rates, [one.rate for one in alone], BAR)]


@contextlib.contextmanager
def _changing(port: int) -> Iterator[list[float]]:
    """Post changes of random customers at a steady rate; yields when each was taken."""
    made: list[float] = []
    over = threading.Event()

    def change() -> None:
        api, began = Api(port), time.monotonic()
        while not over.wait(1 / CHANGES):
            due = int((time.monotonic() - began) * CHANGES) - len(made)  # more than one where the last post took long
            if due > 0:
                api.expect(202, "POST", "/salesforce/webhook", [_change() for _ in range(due)])
                made.extend([time.monotonic()] * due)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()
    if not made:
        raise RuntimeError("no change was taken")


def _change() -> dict[str, object]:
    flags = {"SignedTos": True, "SKU1": True, "SKU2": random.random() < 0.5, "SKU3": random.random() < 0.5}
    return {"Id": f"c{random.randrange(check.CUSTOMERS)}", **flags}


@contextlib.contextmanager
def _reading(machine: Machine, port: int, log: pathlib.Path) -> Iterator[None]:
    """Run the readers in a process of their own; at its end the log's last word is how many events each one read."""
    log.unlink(missing_ok=True)
    command = (sys.executable, "-m", "benches.stream", str(port))
    with process(command, log, cores=machine.others, env=environment()):
        eventually(lambda: "reading" in log.read_text(), "the readers")
        yield


def read(port: int) -> None:
    """Open the streams and read them until SIGTERM; then say how many events the slowest reader got."""
    ask = f"GET /v1/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    counts: dict[socket.socket, int] = {}
    for _ in range(READERS):
        one = socket.create_connection(("127.0.0.1", port), 10)
        one.sendall(ask)
        if not one.recv(65536).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("a stream was refused")
        selector.register(one, selectors.EVENT_READ)
        counts[one] = 0
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    print("reading", flush=True)
    while not over.is_set():
        for key, _ in selector.select(0.1):
            one = key.fileobj
            if not isinstance(one, socket.socket) or not (chunk := one.recv(65536)):
                raise RuntimeError("a stream was cut off")
            counts[one] += chunk.count(b"event: changes")
    print(min(counts.values()))


if __name__ == "__main__":
    read(int(sys.argv[1]))
