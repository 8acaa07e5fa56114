"""The processes of the simulation: the real ``Door`` and the real ``Worker``, each of which can die at any moment."""

import asyncio
import contextvars
import datetime as dt
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from licet.consume.apply import Applied, Applier
from licet.consume.worker import Worker
from licet.observe.metrics import Metrics
from licet.queue.message import Position
from licet.queue.partitioner import partition_of
from licet.queue.ports import AppendFailed
from licet.receive.register import Register
from licet.receive.webhook import Door, Post, Receipt
from licet.store.ports import StoreUnavailable
from sim.store import new_ids
from sim.topic import MemoryReader, Result

if TYPE_CHECKING:
    from sim.world import World

TIMEOUT_S = 4.0
# The group waits so long for a member that is silent.
SESSION_S = 6.0
# The tasks of a process, so that all end when it dies. A dict: a set would be ordered by address.
Tasks = dict[asyncio.Task[Any], None]
OWNER: contextvars.ContextVar[Tasks] = contextvars.ContextVar("OWNER")
# One for all: a registry costs a millisecond, and nobody here reads a number out of it.
METRICS = Metrics()


class Crash(BaseException):
    """The process is gone: nothing of it runs any more, no handler, no clean-up."""


class Died(Exception):
    """What a sender sees of a door that dies while it waits: a connection that is reset."""


Item = tuple[float, Callable[[], Position], Callable[[Result], None]]


def owned(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task and note it with the process that makes it; a loop's task factory."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    tasks = context.get(OWNER) if context is not None else OWNER.get(None)
    if tasks is not None:
        tasks[task] = None
        task.add_done_callback(tasks.pop)
    return task


class DoorLink:
    """A door's connections to the brokers: per partition first in, first out, with the seed's faults.

    What was handed over before the door died may still arrive.
    """

    def __init__(self, world: "World", patience: float = TIMEOUT_S) -> None:
        self._world = world
        self._patience = patience
        self._lines: dict[int, deque[Item]] = {}
        self.others: list[DoorLink] = []
        self.dead = False

    @property
    def gives_up(self) -> bool:
        """Tell whether a message may fail alone. A patient client keeps the order of what it retries."""
        return self._patience <= TIMEOUT_S

    def die(self) -> None:
        for link in (self, *self.others):
            link.dead = True

    def carry(self, key: str, write: Callable[[], Position], settle: Callable[[Result], None]) -> None:
        partition = partition_of(key.encode())
        line = self._lines.setdefault(partition, deque())
        line.append((self._world.loop.time() + self._patience, write, settle))
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
        if self.dead and (world.topic.down or world.dice.random() < 0.3):
            line.clear()  # what had left arrives, in order; from some message on nothing has
            return
        line.popleft()
        self._end(write, settle)
        if line:
            self._next(line)

    def _end(self, write: Callable[[], Position], settle: Callable[[Result], None]) -> None:
        world, weather = self._world, self._world.weather
        if world.topic.down:
            settle(AppendFailed("the brokers are down"))
        elif self.gives_up and world.chance(weather.lost):
            settle(AppendFailed("a broker refused"))
        elif self.gives_up and world.chance(weather.late):  # the door gives up, and it is written all the same
            world.say("a message is written late")
            world.late += 1
            world.loop.call_later(world.dice.uniform(TIMEOUT_S, 15), self._late, write)
        elif world.chance(weather.silent):
            world.say(f"written at {_place(write())}, and nobody says so")
        else:
            settle(write())

    def _late(self, write: Callable[[], Position]) -> None:
        self._world.late -= 1
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
        self._tasks: Tasks = {}
        self.up = False

    def start(self) -> None:
        """Come up; a web does not while the database is away."""
        world = self._world
        if world.store_down:
            world.loop.call_later(0.5, self.start)
            return
        self._tasks = {}
        contextvars.copy_context().run(self._build)
        self.up = True

    def _build(self) -> None:
        OWNER.set(self._tasks)
        self._link = DoorLink(self._world)

        def clock() -> dt.datetime:
            return self._world.now() + self._skew

        self._door = Door(
            self._world.change_log(self._link),
            catalog=lambda: self._world.store.catalog,
            clock=clock,
            metrics=METRICS,
            register=Register(METRICS, clock),
            random_bytes=self._world.dice.randbytes,
        )

    def crash(self) -> None:
        self._world.say(f"{self.name} dies")
        self.up = False
        self._link.die()
        self.stop()
        self._world.loop.call_later(self._world.dice.uniform(0.1, 5), self.start)

    def stop(self) -> list[asyncio.Task[Any]]:
        """End whatever it does; returns it, to be waited for."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        return tasks

    async def receive(self, post: Post, body: bytes) -> Receipt:
        """Pass a post to the door. Raises what the door raises, or ``Died``."""
        if not self.up:
            raise Died
        context = contextvars.copy_context()
        context.run(OWNER.set, self._tasks)
        try:
            return await self._world.loop.create_task(self._door.receive(post, body), context=context)
        except asyncio.CancelledError as error:
            raise Died from error


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
            world.projection(self._at), self._committed, None, world.weather.limit, new_ids(world.dice.getrandbits)
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
