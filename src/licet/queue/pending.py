"""An append under way: what both logs share."""

import asyncio
from collections.abc import Sequence
from typing import cast

from licet.queue.message import Position
from licet.queue.ports import AppendFailed

Result = Position | AppendFailed


class PendingAppend:
    """One call of ``append``: a result per message, and the caller that waits for them. Belongs to the event loop.

    A message not settled by the deadline counts as failed, though it may be written later.
    """

    __slots__ = ("_done", "_missing", "_results")

    def __init__(self, count: int) -> None:
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = count
        self._results: list[Result | None] = [None] * count

    @property
    def over(self) -> bool:
        """Tell whether nobody waits any more."""
        return self._done.done()

    def settle(self, index: int, result: Result) -> None:
        """Set the result of one message, once."""
        self._results[index] = result
        self._missing -= 1
        if not self._missing:
            self._end()

    async def wait(self, seconds: float) -> Sequence[Result]:
        """Wait until all are settled, at most so many seconds."""
        if self._missing:
            timer = asyncio.get_running_loop().call_later(seconds, self._end)
            try:
                await self._done
            finally:
                timer.cancel()
        if not self._missing:
            return cast("list[Result]", self._results)
        late = AppendFailed(f"not confirmed within {seconds:.1f} s; it may be written all the same")
        return tuple(late if result is None else result for result in self._results)

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
