"""A queue that does not answer: the sender is told in time, and no more posts wait than the limit says."""

import asyncio
from collections.abc import Sequence

from licet.queue.message import Message, Position, Spooled
from licet.queue.ports import AppendFailed
from support.asgi import Answer, request
from support.door import RecordingLog, doorway

BODY = b'{"Id":"a"}'


class Stuck(RecordingLog):
    """A log that takes nothing until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        await self.free.wait()
        return await super().append(messages)


class Spooling(RecordingLog):
    """A log whose every second message goes to the spool."""

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        return [Spooled(0, at) if at % 2 else Position(0, at) for at, _ in enumerate(messages)]


def refused(answer: Answer | None) -> bool:
    assert answer is not None
    if answer.status == 503:
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json["code"] == "unavailable"
    return answer.status == 503


def test_a_post_that_is_not_confirmed_in_time_is_a_503_and_the_next_is_taken() -> None:
    async def run() -> None:
        at = doorway(log=(log := Stuck()), limit_s=0.1)
        assert refused(await request(at.app, BODY))
        assert at.counted("licet_webhook_refused_total", code="unavailable") == 1
        log.free.set()
        assert not refused(await request(at.app, BODY))

    asyncio.run(run())


def test_more_posts_in_flight_than_the_limit_are_a_503_at_once() -> None:
    async def run() -> None:
        at = doorway(log=(log := Stuck()), most=3)
        waiting = [asyncio.create_task(request(at.app, BODY)) for _ in range(3)]
        await asyncio.sleep(0)
        assert refused(await request(at.app, BODY))
        log.free.set()
        assert not any(refused(answer) for answer in await asyncio.gather(*waiting))
        assert not refused(await request(at.app, BODY))

    asyncio.run(run())


def test_each_change_says_where_it_waits() -> None:
    answer = asyncio.run(request(doorway(log=Spooling()).app, b'[{"Id":"a"},{"Id":"b"},{"Id":"c"}]'))
    assert answer is not None
    assert [change["queued_in"] for change in answer.json["changes"]] == ["log", "spool", "log"]


def test_many_that_are_late_at_once_are_all_told() -> None:
    async def run() -> None:
        at = doorway(log=Stuck(), limit_s=0.1)
        assert all(map(refused, await asyncio.gather(*(request(at.app, BODY) for _ in range(60)))))

    asyncio.run(run())
