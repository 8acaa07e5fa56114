"""Honest clients beside a thousand slow connections: half a head or half a body each, opened anew when ended."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import uuid

from benches.machine import Machine, environment, eventually, licet_web, postgres, process
from benches.table import Row, below, percentile
from benches.visible import Lines

SLOW = 1000
PER_SECOND = 100
SECONDS = 20
BAR_MS = 100
_HEAD = b"POST /salesforce/webhook HTTP/1.1\r\nHost: slow\r\nContent-Length: 100\r\n"
_SENT = (_HEAD, _HEAD + b'\r\n{"Id":"a","Na')


def run(machine: Machine) -> list[Row]:
    """Measure honest posts without and with the slow connections, in one run of the server."""
    with postgres(machine) as (url, _), licet_web(machine, url) as (port, _):
        quiet = asyncio.run(steady(port, SECONDS / 2))
        # In a process of their own: what they do must not hold up the clock of the honest.
        command = (sys.executable, "-m", "benches.slow", str(port))
        log = machine.folder / "slow.log"
        with process(command, log, cores=machine.others, env=environment()):
            eventually(log.read_text, "the slow connections stand")
            beset = asyncio.run(steady(port, SECONDS))
        ended = int(log.read_text().split()[-1])
    p99 = percentile(beset, 0.99)
    note = (
        f"p50 {percentile(beset, 0.5):.0f}, most {max(beset):.0f} ms of {len(beset)} posts at {PER_SECOND}/s, all 202; "
        f"without the slow: p50 {percentile(quiet, 0.5):.0f}, p99 {percentile(quiet, 0.99):.0f} ms; "
        f"{ended} slow connections were ended and opened anew; queue in PostgreSQL"
    )
    return [
        below(Row(what=f"webhook beside {SLOW:,} slow connections, p99", measured=p99, unit="ms", note=note), BAR_MS)
    ]


async def _hold(port: int) -> None:
    """Keep the slow connections until SIGTERM, then say how many were ended."""
    os.nice(10)  # what it costs to be slow is not the honest clients' time
    ended = 0

    async def hold(number: int) -> None:
        nonlocal ended
        while True:
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(_SENT[number % 2])
                await reader.read()
                writer.close()
            ended += 1

    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    held = [asyncio.create_task(hold(number)) for number in range(SLOW)]
    await asyncio.sleep(1)
    print(f"{len(held)} stand", flush=True)
    await over.wait()
    print(ended, flush=True)


async def steady(port: int, seconds: float) -> list[float]:
    """Post at a fixed rate whatever the answers take; each must be a 202. Returns their milliseconds."""
    lines = Lines(port)
    taken: list[float] = []

    async def post() -> None:
        body = json.dumps({"Id": str(uuid.uuid4()), "Name": "acme.example", "SignedTos": True, "SKU1": True})
        began = time.perf_counter()
        await lines.ask("POST", "/salesforce/webhook", 202, body)
        taken.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(seconds * PER_SECOND)):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
            tasks.create_task(post())
    return taken


if __name__ == "__main__":
    asyncio.run(_hold(int(sys.argv[1])))
