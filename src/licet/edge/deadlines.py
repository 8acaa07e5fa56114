"""A time limit for many short waits with one timer: ``asyncio.timeout`` costs a post 6 µs, this half of one."""

import asyncio
import itertools
from types import TracebackType
from typing import Any

Task = asyncio.Task[Any]
# A task that ends, and the client that comes again, cost half a millisecond: so many at once, then the others' turn.
_AT_ONCE = 8
_TURN_S = 0.008


class Late(Exception):
    """The limit passed before the block ended."""


class Deadlines:
    """``with deadlines.over():`` raises ``Late`` out of a block that waits longer than ``limit_s`` seconds.

    One block at a time per task; the limit is kept to a quarter of itself, with up to a thousand that end in a second.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        # In order of entry, and so of deadline.
        self._entered: dict[Task, float] = {}
        self._late: set[Task] = set()
        self._timer: asyncio.TimerHandle | None = None

    def over(self, task: Task | None = None) -> "Block":
        """Return the block of this task; who knows it already spares the look-up, 2 µs under load."""
        return Block(self, task or current())

    def begin(self, task: Task) -> None:
        """Begin to count."""
        loop = task.get_loop()
        self._entered[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._limit_s, self._sweep, loop)

    def end(self, task: Task) -> bool:
        """Stop counting; tells whether the limit, and nobody else, cancelled the task."""
        self._entered.pop(task, None)
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() == 0

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        due = loop.time() - self._limit_s
        late = [task for task, entered in itertools.islice(self._entered.items(), _AT_ONCE) if entered <= due]
        for task in late:
            del self._entered[task]
            self._late.add(task)
            task.cancel()
        if self._entered:
            wait = self._limit_s / 4 if len(late) < _AT_ONCE else _TURN_S
            self._timer = loop.call_later(wait, self._sweep, loop)


class Block:
    """A block with a time limit."""

    __slots__ = ("_deadlines", "_task")

    def __init__(self, deadlines: Deadlines, task: Task) -> None:
        self._deadlines = deadlines
        self._task = task

    def __enter__(self) -> None:
        self._deadlines.begin(self._task)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # Someone else may have cancelled the task as well; then that is what happened.
        if self._deadlines.end(self._task) and kind is asyncio.CancelledError:
            raise Late from error


def current() -> Task:
    """Return the task that runs this."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a deadline needs a task")
    return task
