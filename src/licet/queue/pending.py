"""Appends under way: what both logs share."""

import asyncio
from collections.abc import Sequence
from typing import cast

from licet.queue.message import Position
from licet.queue.ports import AppendFailed

Result = Position | AppendFailed


class PendingAppend:
    """One call of ``append``: a result per message, and the caller that waits for them. Belongs to the event loop."""

    __slots__ = ("_missing", "_results", "done")

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self._missing = count
        self._results: list[Result | None] = [None] * count

    @property
    def over(self) -> bool:
        """Tell whether nobody waits any more."""
        return self.done.done()

    def settle(self, index: int, result: Result) -> None:
        """Set the result of one message, once."""
        self._results[index] = result
        self._missing -= 1
        if not self._missing:
            self.end()

    def end(self) -> None:
        """Let the caller go, with what is settled now."""
        if not self.done.done():
            self.done.set_result(None)

    def results(self, late: str) -> Sequence[Result]:
        """Return a result per message; ``late`` says why the unsettled ones have none."""
        if not self._missing:
            return cast("list[Result]", self._results)
        failed = AppendFailed(late)
        return [failed if result is None else result for result in self._results]


class PendingAppends:
    """All calls under way of one log, and one timer that ends those which wait too long: a timer each costs 1.6 µs.

    A message not settled by the deadline counts as failed, though it may be written later.
    """

    def __init__(self, timeout: float) -> None:
        self._late = f"not confirmed within {timeout:g} s; it may be written all the same"
        # With their deadlines, which come in about the order of the calls.
        self._waiting: dict[PendingAppend, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        """Tell whether anyone waits."""
        return bool(self._waiting)

    async def wait(self, call: PendingAppend, deadline: float) -> Sequence[Result]:
        """Wait until all messages of a call are settled, at most until ``deadline`` in the loop's time."""
        if not call.done.done():
            self._waiting[call] = deadline
            if self._timer is None:
                self._sweep(call.done.get_loop())
            try:
                await call.done
            finally:
                del self._waiting[call]
        return call.results(self._late)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the calls whose time is over, and look again when that of the next is."""
        self._timer = None
        for call, deadline in list(self._waiting.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._sweep, loop)
                break
            call.end()
