"""From the post that ends a license until a connected SDK refuses: licet web, Kafka, licet worker, the stream."""

import asyncio
import json
import time
import uuid
from collections.abc import Sequence

from tests.support import kafka

from benches.machine import KEY, Machine
from benches.table import Row, Skipped, below, percentile
from benches.visible import FEATURE, Lines, apart, bring_in, customer_of
from licet_sdk import Licet

CHANGES = 400
WARM = 40  # more before them that do not count: each of the topic's partitions is written and read for the first time
PER_SECOND = 20
WITHIN_S = 10.0  # a license that is not refused by then ends the bench
BAR_MS = 150


def run(machine: Machine) -> list[Row]:
    """Measure."""
    if lacking := kafka.lacking():
        raise Skipped(lacking)
    customers = [str(uuid.uuid4()) for _ in range(WARM + CHANGES)]
    with kafka.running_broker(machine.folder / "kafka") as broker, apart(machine, broker.bootstrap) as port:
        bring_in(port, customers, licensed=True)
        with Licet(url=f"http://127.0.0.1:{port}", key=KEY) as licet:
            if not licet.wait_ready(30) or not all(licet.allowed(FEATURE, customer=one) for one in customers):
                raise RuntimeError("the SDK does not answer by the data")
            accepted, refused = asyncio.run(_drive(port, licet, customers))
    p99 = percentile(refused, 0.99)
    note = (
        f"p50 {percentile(refused, 0.5):.0f}, most {max(refused):.0f} ms of {len(refused)} licenses ended at "
        f"{PER_SECOND}/s, from the post on; of these, until the 202: p50 {percentile(accepted, 0.5):.0f}, "
        f"p99 {percentile(accepted, 0.99):.0f} ms"
    )
    return [below(Row(what="license ended, refused by the SDK, p99", measured=p99, unit="ms", note=note), BAR_MS)]


async def _drive(port: int, licet: Licet, customers: Sequence[str]) -> tuple[list[float], list[float]]:
    """End the licenses at a fixed rate; returns milliseconds from each post until its 202, and until it is refused."""
    lines, accepted, all_refused = Lines(port), dict[str, float](), asyncio.Event()
    loop = asyncio.get_running_loop()
    posted: dict[str, float] = {}
    refused: dict[str, float] = {}

    def listen(event: str) -> None:
        """Look, as soon as the SDK has taken a change in, which licenses it refuses now; in its thread."""
        for one in [one for one in list(posted) if one not in refused] if event == "changed" else ():
            if not licet.allowed(FEATURE, customer=one):
                refused[one] = (time.perf_counter() - posted[one]) * 1000
                if len(refused) == len(customers):
                    loop.call_soon_threadsafe(all_refused.set)

    async def end(customer: str) -> None:
        posted[customer] = time.perf_counter()
        await lines.ask("POST", "/salesforce/webhook", 202, json.dumps(customer_of(customer, licensed=False)))
        accepted[customer] = (time.perf_counter() - posted[customer]) * 1000

    licet.listeners.append(listen)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, one in enumerate(customers):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
            tasks.create_task(end(one))
    async with asyncio.timeout(WITHIN_S):
        await all_refused.wait()
    return [accepted[one] for one in customers[WARM:]], [refused[one] for one in customers[WARM:]]
