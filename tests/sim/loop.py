"""An event loop whose time is a number: it runs one handle at a time and jumps to the next timer when none is left."""

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class Standstill(BaseException):
    """Nobody has anything left to do, and somebody still waits."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines and callbacks in virtual time. Nothing in it waits for the machine, so a run repeats exactly.

    ``let_others_run`` may be called from a callback (not from a task): it stands for a process that is held up while
    all others go on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._depth = 0
        self.fault: BaseException | None = None
        self._ready: Any
        self._scheduled: Any
        self._timer_cancelled_count: int
        self._stopping: bool
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        """The virtual seconds since the start."""
        return self._now

    def let_others_run(self, seconds: float) -> None:
        """Pass so many seconds, in which everything else that is due happens; at most three stand still at once."""
        until = self._now + seconds
        if self._depth < 3:
            self._depth += 1
            try:
                while not self._stopping and (self._ready or (self._scheduled and self._scheduled[0].when() <= until)):
                    self._run_once()
            finally:
                self._depth -= 1
        self._now = max(self._now, until)

    def run_in_executor(  # type: ignore[override]  # typeshed has it async; it returns a future
        self, _executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run what would have gone to a thread here and now."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 whoever awaits it gets it
            done.set_exception(error)
        return done

    def _run_once(self) -> None:
        if self._ready:
            handle = self._ready.popleft()
        elif self._scheduled:
            handle = heapq.heappop(self._scheduled)
            handle._scheduled = False
            if handle.cancelled():
                self._timer_cancelled_count -= 1
            else:
                self._now = max(self._now, handle.when())
        else:
            raise Standstill
        if not handle.cancelled():
            handle._run()
        if self.fault is not None:
            raise self.fault

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what a callback or a forgotten task raised: in a simulation it is a finding."""
        error = context.get("exception")
        self.fault = self.fault or error or RuntimeError(context["message"])

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""

    def _process_events(self, event_list: object) -> None:
        """There is no outside."""
