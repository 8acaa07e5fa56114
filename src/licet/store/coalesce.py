"""Many questions, one query: while the store answers, further questions gather and are asked together.

A query of 64 questions costs the store and this process about a fifth of 64 queries. A question that finds a lane
free is asked at once; nothing waits for company.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from licet.domain.errors import Unavailable

Q = TypeVar("Q")
A = TypeVar("A")

# Beyond this a query's own time, and with it everybody's wait, grows faster than what it saves.
MOST = 128


class Coalescer(Generic[Q, A]):
    """Gathers questions for a few lanes, each a function that answers a batch in order.

    ``waiting`` bounds the questions not yet asked: beyond it they are refused at once.
    """

    def __init__(
        self, lanes: Sequence[Callable[[Sequence[Q]], Awaitable[Sequence[A]]]], *, waiting: int = 10_000
    ) -> None:
        self._free = deque(lanes)
        self._limit = waiting
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> A:
        """Answer a question. Raises what the lane raises for its batch, and ``Unavailable`` under too much load."""
        if len(self._waiting) >= self._limit:
            raise Unavailable(f"{len(self._waiting)} questions wait for the store already")
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._free:
            self._start()
        return await future

    async def close(self) -> None:
        """Refuse what waits, then wait for what is asked."""
        self._limit = 0
        while self._waiting:
            _settle(self._waiting.popleft()[1], Unavailable("Licet is stopping"))
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self) -> None:
        lane = self._free.popleft()
        task = asyncio.create_task(self._run(lane))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, lane: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        """Answer batches until none waits, then free the lane."""
        try:
            while batch := self._take():
                await _answer(lane, batch)
        finally:
            self._free.append(lane)

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        taken: list[tuple[Q, asyncio.Future[A]]] = []
        while self._waiting and len(taken) < MOST:
            question, future = self._waiting.popleft()
            if not future.done():  # its caller went away
                taken.append((question, future))
        return taken


async def _answer(
    lane: Callable[[Sequence[Q]], Awaitable[Sequence[A]]], batch: Sequence[tuple[Q, asyncio.Future[A]]]
) -> None:
    try:
        answers = await lane([question for question, _ in batch])
        if len(answers) != len(batch):
            raise RuntimeError(f"{len(answers)} answers to {len(batch)} questions")  # noqa: TRY301 told to every caller
    except asyncio.CancelledError:
        for _, future in batch:
            _settle(future, Unavailable("Licet is stopping"))
        raise
    except Exception as error:  # noqa: BLE001 every caller of the batch gets the error; none is lost here
        for _, future in batch:
            _settle(future, error)
        return
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _settle(future: asyncio.Future[A], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
