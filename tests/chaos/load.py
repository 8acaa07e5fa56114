"""Salesforce in a hurry: so many changes a second at every door, some of them twice, some late, some bad."""

import asyncio
import json
import random
import threading
import time
import uuid
from collections import deque
from typing import Any

import confluent_kafka
import httpx

from chaos.stage import TOPIC

CUSTOMERS = 300
SENDERS = 24
# What a change of a round is like, in shares.
DUPLICATES, LATE, BAD, OWN_ID = 0.1, 0.2, 0.03, 0.8
ROGUES_A_SECOND = 5


class Load:
    """Posts from a thread of its own. A post that is not answered 202 is posted again, to whichever door."""

    def __init__(self, urls: list[str], bootstrap: str, rate: int, tag: str) -> None:
        self._urls, self._bootstrap, self._rate, self._tag = urls, bootstrap, rate, tag
        self._dice = random.Random(tag)
        self._letters: deque[bytes] = deque(maxlen=200)
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.acknowledged: set[tuple[str, str]] = set()
        self.refused = 0
        self.longest_stall = 0.0
        self.rogues = 0
        self._last = time.monotonic()

    def start(self) -> None:
        self._last = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the posts under way."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a post hangs"

    async def _run(self) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue(SENDERS)
        limits = httpx.Limits(max_connections=2 * SENDERS)
        async with httpx.AsyncClient(timeout=8.0, limits=limits) as client:
            senders = [asyncio.create_task(self._send(client, queue)) for _ in range(SENDERS)]
            rogue = asyncio.create_task(self._go_rogue())
            began, written = time.monotonic(), 0
            while not self._stop.is_set():
                due = int((time.monotonic() - began) * self._rate)
                while written < due and not queue.full():
                    letter, count = self._letter()
                    queue.put_nowait(letter)
                    written += count
                written = max(written, due - self._rate // 4)  # what no door would take is not made up for
                await asyncio.sleep(0.005)
            rogue.cancel()
            await asyncio.wait_for(queue.join(), 40)
            for sender in senders:
                sender.cancel()
        self._note_stall()

    def _letter(self) -> tuple[bytes, int]:
        if self._letters and self._dice.random() < DUPLICATES:
            return self._dice.choice(self._letters), 1
        count = self._dice.choice((1, 1, 1, 4, 10))
        changes = [self._change() for _ in range(count)]
        letter = b"[" + b",".join(changes) + b"]" if count > 1 else changes[0]
        self._letters.append(letter)
        return letter, count

    def _change(self) -> bytes:
        dice = self._dice
        self._number += 1
        if dice.random() < BAD:
            return dice.choice((b'{"Id":7}', b'{"Id":"bad","SKU1":"yes"}', b'{"Id":"bad","Id":"bad"}'))
        payload: dict[str, Any] = {"Id": f"chaos-{dice.randrange(CUSTOMERS)}", "SignedTos": True}
        payload |= {sku: dice.random() < 0.5 for sku in ("SKU1", "SKU2", "SKU3") if dice.random() < 0.6}
        if dice.random() < OWN_ID:
            payload["EventId"] = f"{self._tag}-{self._number}"
        if dice.random() < 0.5:
            behind = dice.uniform(0, 60) if dice.random() < LATE else 0
            at = time.time() - behind
            payload["SystemModstamp"] = (
                time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03}Z"
            )
        return json.dumps(payload).encode()

    async def _send(self, client: httpx.AsyncClient, queue: "asyncio.Queue[bytes]") -> None:
        while True:
            letter = await queue.get()
            for _ in range(60):
                try:
                    answer = await client.post(f"{self._dice.choice(self._urls)}/salesforce/webhook", content=letter)
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code in {202, 400, 413, 422, 503}, answer.text
                if answer.status_code == 202:
                    self._note_stall()
                    taken = answer.json()["changes"]
                    self.acknowledged |= {(change["event_id"], change["customer_id"]) for change in taken}
                if answer.status_code != 503:
                    break
                self.refused += 1
                await asyncio.sleep(0.1)
            queue.task_done()

    def _note_stall(self) -> None:
        now = time.monotonic()
        self.longest_stall = max(self.longest_stall, now - self._last)
        self._last = now

    async def _go_rogue(self) -> None:
        """Write bytes to the topic that no door ever saw."""
        producer = confluent_kafka.Producer({"bootstrap.servers": self._bootstrap, "log_level": 0})
        try:
            while True:
                key = self._dice.choice((None, b"chaos-1", self._dice.randbytes(3)))
                headers = [("ce_id", uuid.UUID(int=self._dice.getrandbits(128)).bytes)]
                producer.produce(TOPIC, self._dice.randbytes(self._dice.randrange(60)), key, headers=headers)  # type: ignore[arg-type]
                producer.poll(0)
                self.rogues += 1
                await asyncio.sleep(1 / ROGUES_A_SECOND)
        finally:
            producer.purge()
            producer.flush(0)
