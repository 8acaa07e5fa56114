"""Many questions, one query."""

import asyncio
from collections.abc import Sequence

import pytest

from licet.domain.errors import Unavailable
from licet.store.coalesce import MOST, Coalescer


class Lane:
    """Doubles numbers, a batch at a time, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(numbers))
        await self.open.wait()
        if 1300 in numbers:
            raise Unavailable("thirteen hundred")
        return [2 * number for number in numbers]


def test_questions_that_arrive_while_one_is_asked_are_asked_together() -> None:
    async def scenario() -> None:
        lane = Lane()
        asker: Coalescer[int, int] = Coalescer([lane])
        lane.open.clear()
        first = asyncio.create_task(asker.ask(0))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(asker.ask(number)) for number in range(1, MOST + 11)]
        await asyncio.sleep(0.01)
        lane.open.set()
        assert [await task for task in (first, *rest)] == [2 * number for number in range(MOST + 11)]
        assert [len(batch) for batch in lane.batches] == [1, MOST, 10]

    asyncio.run(scenario())


def test_an_error_reaches_everyone_of_its_batch_and_nobody_else() -> None:
    async def scenario() -> None:
        lane = Lane()
        asker: Coalescer[int, int] = Coalescer([lane])
        results = await asyncio.gather(*(asker.ask(number) for number in (12, 1300, 14)), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 3
        assert await asker.ask(15) == 30

    asyncio.run(scenario())


def test_a_lane_that_answers_too_little_leaves_nobody_waiting() -> None:
    async def short(numbers: Sequence[int]) -> Sequence[int]:
        return numbers[1:]

    async def scenario() -> None:
        asker: Coalescer[int, int] = Coalescer([short])
        with pytest.raises(RuntimeError, match="0 answers to 1"):
            await asker.ask(1)

    asyncio.run(scenario())


def test_a_question_whose_caller_went_away_is_not_asked() -> None:
    async def scenario() -> None:
        lane = Lane()
        asker: Coalescer[int, int] = Coalescer([lane])
        lane.open.clear()
        tasks = [asyncio.create_task(asker.ask(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0.01)
        gone = asyncio.create_task(asker.ask(4))
        stays = asyncio.create_task(asker.ask(5))
        await asyncio.sleep(0.01)
        gone.cancel()
        tasks[0].cancel()  # it is asked already; its answer is dropped
        lane.open.set()
        assert await asyncio.gather(*tasks[1:], stays) == [4, 6, 10]
        assert lane.batches == [[1, 2, 3], [5]]

    asyncio.run(scenario())


def test_beyond_the_limit_a_question_is_refused_at_once_and_closing_refuses_what_waits() -> None:
    async def scenario() -> None:
        lane = Lane()
        asker: Coalescer[int, int] = Coalescer([lane], waiting=2)
        lane.open.clear()
        asked = asyncio.create_task(asker.ask(1))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(asker.ask(number)) for number in (2, 3)]
        await asyncio.sleep(0.01)
        with pytest.raises(Unavailable, match="2 questions wait"):
            await asker.ask(4)
        closing = asyncio.create_task(asker.close())
        for task in waiting:
            with pytest.raises(Unavailable, match="stopping"):
                await task
        lane.open.set()
        await closing
        assert await asked == 2
        with pytest.raises(Unavailable):
            await asker.ask(5)

    asyncio.run(scenario())
