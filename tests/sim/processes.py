"""The processes of the simulation: the real ``Door`` and the real ``Worker``, each of which can die at any moment."""

import asyncio
import datetime as dt
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from licet.consume.apply import Applied, Applier
from licet.consume.worker import Worker
from licet.observe.metrics import Metrics
from licet.queue.message import Position
from licet.queue.partitioner import partition_of
from licet.queue.ports import AppendFailed
from licet.receive.webhook import Door, Post, Receipt
from licet.store.ports import StoreUnavailable
from sim.store import new_ids
from sim.topic import MemoryReader, Result

if TYPE_CHECKING:
    from sim.world import World

TIMEOUT_S = 4.0
# The group waits so long for a member that is silent.
SESSION_S = 6.0
# One for all: a registry costs a millisecond, and nobody here reads a number out of it.
METRICS = Metrics()


class Crash(BaseException):
    """The process is gone: nothing of it runs any more, no handler, no clean-up."""


class Died(Exception):
    """What a sender sees of a door that dies while it waits: a connection that is reset."""


Item = tuple[float, Callable[[], Position], Callable[[Result], None]]


class DoorLink:
    """A door's connections to the brokers: per partition first in, first out, with the seed's faults.

    What was handed over before the door died may still arrive.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._lines: dict[int, deque[Item]] = {}
        self.dead = False

    def carry(self, key: str, write: Callable[[], Position], settle: Callable[[Result], None]) -> None:
        partition = partition_of(key.encode())
        line = self._lines.setdefault(partition, deque())
        line.append((self._world.loop.time() + TIMEOUT_S, write, settle))
        if len(line) == 1:
            self._next(line)

    def _next(self, line: deque[Item]) -> None:
        world = self._world
        delay = world.dice.uniform(0.1, 6) if world.chance(world.weather.slow) else world.dice.uniform(0.001, 0.01)
        world.loop.call_later(delay, self._arrive, line)

    def _arrive(self, line: deque[Item]) -> None:
        world = self._world
        deadline, write, settle = line[0]
        if world.topic.down and world.loop.time() < deadline and not self.dead:
            world.loop.call_later(0.2, self._arrive, line)
            return
        line.popleft()
        self._end(write, settle)
        if line:
            self._next(line)

    def _end(self, write: Callable[[], Position], settle: Callable[[Result], None]) -> None:
        world, weather = self._world, self._world.weather
        if world.topic.down or (self.dead and world.dice.random() < 0.5):
            settle(AppendFailed("the brokers are down"))
        elif world.chance(weather.lost):
            settle(AppendFailed("a broker refused"))
        elif world.chance(weather.late):  # the door gives up, and it is written all the same
            world.say("a message is written late")
            world.loop.call_later(world.dice.uniform(TIMEOUT_S, 15), self._late, write)
        elif world.chance(weather.silent):
            world.say(f"written at {_place(write())}, and nobody says so")
        else:
            settle(write())

    def _late(self, write: Callable[[], Position]) -> None:
        if not self._world.topic.down:
            self._world.say(f"written late at {_place(write())}")


def _place(position: Position) -> str:
    return f"{position.partition}/{position.offset}"


class DoorProcess:
    """One door. Its clock is off by ``skew`` seconds."""

    def __init__(self, world: "World", number: int, skew: float) -> None:
        self._world = world
        self.name = f"door {number}"
        self._skew = dt.timedelta(seconds=skew)
        self._tasks: dict[asyncio.Task[Receipt], None] = {}  # a set would be ordered by address
        self.start()

    def start(self) -> None:
        self.up = True
        self._link = DoorLink(self._world)
        self._door = Door(
            self._world.change_log(self._link),
            catalog=lambda: self._world.store.catalog,
            clock=lambda: self._world.now() + self._skew,
            metrics=METRICS,
            random_bytes=self._world.dice.randbytes,
        )

    def crash(self) -> None:
        self._world.say(f"{self.name} dies")
        self.up, self._link.dead = False, True
        for task in list(self._tasks):
            task.cancel()
        self._world.loop.call_later(self._world.dice.uniform(0.1, 5), self.start)

    async def receive(self, post: Post, body: bytes) -> Receipt:
        """Pass a post to the door. Raises what the door raises, or ``Died``."""
        if not self.up:
            raise Died
        task = self._world.loop.create_task(self._door.receive(post, body))
        self._tasks[task] = None
        try:
            return await task
        except asyncio.CancelledError as error:
            raise Died from error
        finally:
            del self._tasks[task]


class WorkerProcess:
    """One worker. It dies, stands still or is cut off from the store wherever it calls one of its ports."""

    def __init__(self, world: "World", number: int) -> None:
        self._world = world
        self.name = f"worker {number}"
        self._life = 0
        self.start()

    def start(self) -> None:
        world = self._world
        self._life += 1
        applier = Applier(
            world.projection(self._at), world.topic.name, self._committed, new_id=new_ids(world.dice.getrandbits)
        )
        self.reader = MemoryReader(world.topic, applier.assign, self._shuffled)
        self.worker = Worker(self.reader, applier, METRICS, world.weather.batch)
        world.loop.call_later(world.dice.uniform(0, 0.5), self._step, self._life)

    def _step(self, life: int) -> None:
        world = self._world
        if life != self._life:
            return
        try:
            self.worker._step()
        except Crash:
            world.say(f"{self.name} dies")
            self._life += 1
            world.loop.call_later(SESSION_S, world.topic.leave, self.reader)
            world.loop.call_later(world.dice.uniform(0.1, 8), self.start)
            return
        wait = self.worker._wait_s * world.dice.uniform(0.5, 1.0) or world.dice.uniform(0.01, 0.3)
        world.loop.call_later(wait, self._step, life)

    def _at(self, where: str) -> None:
        world, weather = self._world, self._world.weather
        if world.chance(weather.pause):
            seconds = world.dice.choice((0.5, 1.5, 4.0, 12.0))
            world.say(f"{self.name} stands still for {seconds:g} s at {where!r}")
            if seconds > SESSION_S:
                world.loop.call_later(SESSION_S, world.topic.leave, self.reader)
            world.loop.let_others_run(seconds)
            world.say(f"{self.name} goes on")
        if world.chance(weather.crash):
            raise Crash
        if world.store_down or world.chance(weather.cut):
            world.say(f"{self.name} is cut off from the store at {where!r}")
            raise StoreUnavailable("the connection is lost")

    def _committed(self, applied: Applied) -> None:
        for one in applied.deliveries:
            self._world.say(
                f"{self.name} r{applied.revision} #{one.sequence} {one.partition}/{one.offset} {one.event_id!r:.40}"
                f" {one.customer_id!r:.20} {one.outcome}"
            )

    def _shuffled(self, partitions: list[int]) -> list[int]:
        self._world.dice.shuffle(partitions)
        return partitions
