"""One seed: doors, workers, senders, a rogue and an operator in a storm; then calm, and what must hold at the end."""

import asyncio
import dataclasses
import datetime as dt
import logging
import pathlib
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from consume.deliveries import CUSTOM, DEFAULT
from licet.queue.message import Position
from licet.queue.ports import ChangeLog
from licet.queue.spool_state import TRUST_S
from licet.store.migrate import default_catalog
from licet.store.ports import Projection, StoreUnavailable
from sim import weather
from sim.actors import Operator, Rogue, Sender
from sim.check import check
from sim.loop import VirtualLoop
from sim.processes import DoorLink, DoorProcess, WorkerProcess, owned
from sim.spool import Tables, in_virtual_time, spool_log
from sim.store import MemoryProjection, MemoryStore
from sim.topic import MemoryLog, Topic
from support.world import NOON

CUSTOM_FIELDS = (pathlib.Path(__file__).parents[2] / "docs/examples/custom-fields.toml").read_text("utf-8")
# After the storm everything must be quiet within so many virtual seconds.
QUIET_S = 300.0


@dataclasses.dataclass(frozen=True)
class Acknowledged:
    """A change that a door answered 202 for: when it arrived first, and when the 202 left."""

    event_id: str
    customer_id: str
    arrived: float
    answered: float


class ToldTopic(Topic):
    """A topic that tells the trace what is written to it."""

    def __init__(self, world: "World") -> None:
        super().__init__("sim@1", world.now, waits=False)
        self._world = world

    def write(self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Position:
        position = super().write(key, value, headers)
        self._world.say(f"{position.partition}/{position.offset} holds {dict(headers).get('ce_id', b'')!r:.50}")
        return position


class World:
    """Everything of one seed. Built from the seed alone; ``trace`` tells what happened, line by line."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.loop = VirtualLoop()
        self.loop.set_task_factory(owned)
        self.trace: list[str] = []
        self.calm = False
        self.store_down = False
        self.store_back = float("-inf")  # when it came back
        self.weather = weather.draw(self.dice)
        custom = self.dice.random() < 0.5
        self.mapping = CUSTOM if custom else DEFAULT
        self.store = MemoryStore(CUSTOM_FIELDS if custom else default_catalog(), self._contended)
        self.topic = ToldTopic(self)
        self.acknowledged: list[Acknowledged] = []
        self.arrivals: dict[tuple[str, str], float] = {}
        self.late = 0  # messages that their door has given up and that will be written all the same
        self.rubbish: set[tuple[int, int]] = set()
        self.tables = Tables()
        self._links: list[DoorLink] = []
        self.blind: set[tuple[str, str]] = set()  # what was posted while no door could ask whether the spool is open
        self.doors = [DoorProcess(self, number, skew) for number, skew in enumerate(self.weather.skews)]
        self.workers = [WorkerProcess(self, number) for number in range(self.weather.workers)]

    def change_log(self, link: DoorLink) -> ChangeLog:
        """Build a door's side of the queue: in half of the seeds with a spool."""
        return spool_log(self, link) if self.weather.spool else MemoryLog(self.topic, link)

    def sessions(self, link: DoorLink) -> int:
        """Number a door's life, by which its sessions with the database are told apart."""
        self._links.append(link)
        return len(self._links) - 1

    def link_of(self, conninfo: str) -> DoorLink:
        """Find the door that opens a session."""
        return self._links[int(conninfo_to_dict(conninfo)["host"].removeprefix("door"))]  # type: ignore[union-attr]

    async def reach_database(self, link: DoorLink) -> None:
        """Pass the way of a door to the database or back. Raises as the driver does where it ends on the way."""
        slow = self.chance(self.weather.slow)
        await asyncio.sleep(self.dice.uniform(0.02, 0.2) if slow else self.dice.uniform(0.0002, 0.004))
        if self.store_down or link.dead:
            raise psycopg.OperationalError("the connection is lost")

    def projection(self, at: Callable[[str], None]) -> Projection:
        """Build a worker's store."""
        return MemoryProjection(self.store, at)

    def now(self) -> dt.datetime:
        return NOON + dt.timedelta(seconds=self.loop.time())

    def say(self, what: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.loop.time():9.3f} {what}")

    def chance(self, rate: float) -> bool:
        """Throw the dice for a fault; never in the calm."""
        return bool(rate) and not self.calm and self.dice.random() < rate

    @property
    def blinded(self) -> bool:
        """Whether a door may not know if the spool is open: the store is away, or was when the door last asked."""
        return self.store_down or self.loop.time() - self.store_back <= TRUST_S

    def acknowledge(self, event_id: str, customer_id: str, arrived: float, *, blind: bool) -> None:
        """Note a 202. ``arrived``: when the post came that it answers, where no earlier one of that change did."""
        first = self.arrivals.get((event_id, customer_id), arrived)
        if blind:
            self.blind.add((event_id, customer_id))
        self.acknowledged.append(Acknowledged(event_id, customer_id, first, self.loop.time()))
        self.say(f"202 for {event_id!r} of {customer_id!r}")

    def run(self) -> None:
        """Live through the storm and the calm, then check. Raises what went wrong."""
        self.say(f"{self.weather}")
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with in_virtual_time(self):
                self.loop.run_until_complete(self._live())
        finally:
            logging.disable(disabled)
            for task in asyncio.all_tasks(self.loop):
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            self.loop.close()
        check(self)

    async def _live(self) -> None:
        for door in self.doors:
            door.start()
        sender = Sender(self)
        senders = [self.loop.create_task(one) for one in sender.posts()]
        for trouble in (*self._troubles(), *Rogue(self).writes(), *Operator(self).replays()):
            self.loop.create_task(self._sometime(trouble))
        await asyncio.sleep(self.weather.storm)
        self.calm, self.store_down, self.topic.down = True, False, False
        self.store_back = self.loop.time()
        self.say("calm")
        await asyncio.gather(*senders)
        until = self.loop.time() + QUIET_S
        while self.late or self.tables.open or self.tables.depth or not self._all_applied():
            assert self.loop.time() < until, f"not all applied {QUIET_S:g} s after the storm"
            await self._resume()
            await asyncio.sleep(0.5)
        await asyncio.gather(*(task for door in self.doors for task in door.stop()), return_exceptions=True)
        while not self._all_applied():  # a connection may have held one more message
            await self._resume()
            await asyncio.sleep(0.5)

    def _all_applied(self) -> bool:
        ends = {partition: len(records) for partition, records in enumerate(self.topic.records) if records}
        return {partition: at for (_, partition), at in self.store.offsets.items()} == ends

    async def _sometime(self, trouble: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(self.dice.uniform(0, self.weather.storm))
        if not self.calm:
            await trouble()

    def _troubles(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        counts = {
            self._door_dies: self.weather.door_crashes,
            self._brokers_go: self.weather.broker_outages,
            self._store_goes: self.weather.store_outages,
            self._rebalance: self.weather.rebalances,
            self._resume: 2,
        }
        return [trouble for trouble, count in counts.items() for _ in range(count)]

    async def _door_dies(self) -> None:
        door = self.dice.choice(self.doors)
        if door.up:
            door.crash()

    async def _brokers_go(self) -> None:
        self.say("the brokers are down")
        self.topic.down = True
        await asyncio.sleep(self.dice.uniform(0.5, 15))
        self.say("the brokers are back")
        self.topic.down = False

    async def _store_goes(self) -> None:
        self.say("the store is down")
        self.store_down = True
        await asyncio.sleep(self.dice.uniform(0.5, 15))
        self.say("the store is back")
        self.store_down, self.store_back = False, self.loop.time()

    async def _rebalance(self) -> None:
        worker = self.dice.choice(self.workers)
        self.say(f"the group loses sight of {worker.name}")
        self.topic.leave(worker.reader)

    async def _resume(self) -> None:
        """A person looks, and lets go on what stopped."""
        for (_, partition), why in self.store.stops.items():
            self.say(f"partition {partition} is resumed, stopped by {why}")
        self.store.resume()

    def _contended(self) -> None:
        """Wait for the lock of a writer that stands still: either patience ends first."""
        if self.dice.random() < 0.5:
            raise StoreUnavailable("the lock is another's")
        self.say("a writer that stands still is thrown out")
