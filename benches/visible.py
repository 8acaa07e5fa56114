"""From the 202 until a check answers by the change: web and worker in one process (``licet up``), and apart."""

import asyncio
import contextlib
import dataclasses
import json
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from tests.support import kafka

from benches.machine import KEY, LICET, Api, Machine, environment, eventually, free_port, licet_web, postgres, process
from benches.table import Row, below, percentile

ARRAY = 1000
LIMIT_S = 10.0  # a change that is not seen by then ends the bench
POLL_S = 0.002
FEATURE = "inbound-email-security"


@dataclasses.dataclass(frozen=True)
class Pace:
    """How many changes a second, for how long; every how many-th is watched by asking; the bar of the 99th percentile.

    To watch one is to ask every 2 ms: at a thousand a second the asking alone would fill the machine.
    """

    per_second: int
    seconds: int
    watched: int
    bar_ms: float


CALM = Pace(100, 20, 1, 250)
BUSY = Pace(1000, 5, 20, 50)


def run(machine: Machine) -> list[Row]:
    """Measure on the queue in PostgreSQL, and on Kafka where this machine can run it."""
    with all_in_one(machine, "") as port:
        rows = [measure(port, "PostgreSQL queue", CALM)]
    lacking = kafka.lacking()
    if lacking is not None:
        print(f"visible on Kafka is left out: {lacking}")
        return rows
    with kafka.running_broker(machine.folder / "kafka") as broker:
        with all_in_one(machine, broker.bootstrap) as port:
            rows.append(measure(port, "Kafka", CALM))
        with apart(machine, broker.bootstrap) as port:
            rows.append(measure(port, "Kafka", BUSY))
    return rows


@contextlib.contextmanager
def all_in_one(machine: Machine, brokers: str) -> Iterator[int]:
    """Run ``licet up`` on all cores; yields its port."""
    port = free_port()
    data = machine.folder / ("up-kafka" if brokers else "up")
    command = (*LICET, "up", "--port", str(port), "--data", str(data))
    env = environment(bootstrap_api_key=KEY, kafka_brokers=brokers)
    with process(command, machine.folder / "up.log", cores=machine.cores, env=env):
        eventually(lambda: Api(port).ask("GET", "/readyz")[0] == 200, "licet up")
        yield port


@contextlib.contextmanager
def apart(machine: Machine, brokers: str) -> Iterator[int]:
    """Run web and worker as a deployment does, on a topic of their own; yields the web's port."""
    kafka_ = {"kafka_brokers": brokers, "kafka_topic": "licet.busy"}
    with postgres(machine) as (url, _), licet_web(machine, url, **kafka_) as (port, _):
        env = environment(database_url=url, metrics_port="0", log_level="error", **kafka_)
        with process((*LICET, "worker"), machine.folder / "worker.log", cores=machine.others, env=env):
            yield port


def measure(port: int, queue: str, pace: Pace) -> Row:
    """Measure how long changes take at a pace until checks see them."""
    customers = [str(uuid.uuid4()) for _ in range(pace.per_second * pace.seconds)]
    bring_in(port, customers, licensed=False)
    accepted, seen = asyncio.run(_drive(port, customers, pace))
    p50, p99, most = percentile(seen, 0.5), percentile(seen, 0.99), max(seen)
    note = (
        f"p50 {p50:.0f}, most {most:.0f} ms of {len(seen)} changes watched at {pace.per_second}/s; "
        f"the 202 itself: p50 {percentile(accepted, 0.5):.0f}, p99 {percentile(accepted, 0.99):.0f} ms"
    )
    what = f"visible, p99, {queue}, {pace.per_second}/s"
    return below(Row(what=what, measured=p99, unit="ms", note=note), pace.bar_ms)


def customer_of(customer: str, *, licensed: bool) -> dict[str, object]:
    return {"Id": customer, "Name": "acme.example", "SignedTos": True, "SKU1": licensed}


def bring_in(port: int, customers: Sequence[str], *, licensed: bool) -> None:
    """Bring the customers in, and wait until checks know them all: the worker works."""
    api = Api(port)
    for at in range(0, len(customers), ARRAY):
        some = [customer_of(one, licensed=licensed) for one in customers[at : at + ARRAY]]
        api.expect(202, "POST", "/salesforce/webhook", some)
    for one in customers:
        eventually(partial(_known, api, one), "a customer loaded")


def _known(api: Api, customer: str) -> bool:
    decision = api.expect(200, "GET", f"/v1/check?customer={customer}&feature={FEATURE}")
    return bool(decision["reason"] != "unknown_customer")


async def _drive(port: int, customers: Sequence[str], pace: Pace) -> tuple[list[float], list[float]]:
    """Give each customer its license, at a fixed rate whatever the answers take.

    Returns milliseconds until the 202, and from it until a check has seen the license.
    """
    lines = Lines(port)
    accepted: list[float] = []
    seen: list[float] = []

    async def change(customer: str, *, watched: bool) -> None:
        began = time.perf_counter()
        await lines.ask("POST", "/salesforce/webhook", 202, json.dumps(customer_of(customer, licensed=True)))
        confirmed = time.perf_counter()
        accepted.append((confirmed - began) * 1000)
        if not watched:
            return
        question = f"/v1/check?customer={customer}&feature={FEATURE}"
        while not (await lines.ask("GET", question, 200))["allowed"]:
            if time.perf_counter() - confirmed > LIMIT_S:
                raise TimeoutError(f"a change is not seen after {LIMIT_S:g} s")
            await asyncio.sleep(POLL_S)
        seen.append((time.perf_counter() - confirmed) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, customer in enumerate(customers):
            await asyncio.sleep(max(0.0, began + number / pace.per_second - time.perf_counter()))
            tasks.create_task(change(customer, watched=number % pace.watched == 0))
    return accepted, seen


class Lines:
    """Connections kept open, one per request in flight. Plain HTTP/1.1: a client library costs more than the check."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def ask(self, method: str, path: str, status: int, body: str = "") -> Any:
        """Send one request that must get this status; returns its JSON."""
        line = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = line
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        said = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(said.partition(b"content-length:")[2].split()[0])
        answer = await reader.readexactly(length)
        if int(said.split()[1]) != status:
            raise RuntimeError(f"{method} {path}: {said!r} {answer!r}")
        self._free.append(line)
        return json.loads(answer)
