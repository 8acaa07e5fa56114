"""Bodies: three bounds hold whatever a client claims: bytes, seconds, and memory for all together."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.edge.asgi import Receive, Send
from licet.edge.body import Bodies
from licet.edge.deadlines import Deadlines, Late
from licet.edge.front import Route
from licet.receive.webhook import MAX_ARRAY, MAX_OBJECT
from support.asgi import NEVER, post, request
from support.door import doorway
from support.properties import quick

CHUNK = 64 * 1024


def chunked(body: bytes, size: int = CHUNK) -> list[bytes | object]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def sized(length: int, *, array: bool = False) -> bytes:
    head, tail = (b'[{"Id":"a"}', b"]") if array else (b'{"Id":"a"', b"}")
    return head + b" " * (length - len(head) - len(tail)) + tail


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("space", [b"", b" \r\n\t"])
def test_a_body_at_the_cap_is_taken_and_one_byte_more_is_not(array: bool, space: bytes) -> None:
    cap = (MAX_ARRAY if array else MAX_OBJECT) - len(space)
    at = doorway()
    for body in (space + sized(cap, array=array), chunked(space + sized(cap, array=array))):
        assert post(at.app, body).status == 202
    for body in (space + sized(cap + 1, array=array), chunked(space + sized(cap + 1, array=array))):
        answer = post(at.app, body)
        assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
        assert answer.faults[0][2] == f"at most {MAX_ARRAY if array else MAX_OBJECT} bytes"
    assert len(at.log.held) == 2


@pytest.mark.parametrize("declared", ["0", "10", "-5", "none", "9" * 30])
def test_the_cap_counts_bytes_and_not_what_content_length_claims(declared: str) -> None:
    endless = [b"[", *[b" " * CHUNK] * 1000, NEVER]
    assert post(doorway().app, endless, [("content-length", declared)]).status == 413


def test_an_honest_content_length_beyond_the_cap_is_refused_before_a_byte_is_read() -> None:
    answer = post(doorway().app, [NEVER], [("content-length", str(MAX_ARRAY + 1))])
    assert answer.status == 413


def test_white_space_without_end_is_no_array() -> None:
    assert post(doorway().app, [b" " * CHUNK] * 5).faults[0][2] == f"at most {MAX_OBJECT} bytes"


@quick
@given(st.lists(st.integers(0, 12), max_size=12))
def test_however_a_body_is_cut_the_queue_gets_it_whole(cuts: list[int]) -> None:
    body, chunks = b' {"Id":"a","SKU1":true}', []
    rest = body
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    at = doorway()
    assert post(at.app, [*chunks, rest]).status == 202
    assert at.log.held[0].value == body


@pytest.mark.parametrize("sent", [[NEVER], [b'{"Id":', NEVER], [b"[", b"1", b",", NEVER]])
def test_a_body_that_stalls_is_408_and_the_connection_closes(sent: list[bytes | object]) -> None:
    bodies = Bodies(MAX_OBJECT, MAX_ARRAY, limit_s=0.05)
    at = doorway(bodies=bodies)
    answer = post(at.app, sent)
    assert (answer.status, answer.json["code"], answer.headers["connection"]) == (408, "body_too_slow", "close")
    assert bodies.held == 0
    assert at.counted("licet_webhook_refused_total", code="body_too_slow") == 1


def test_a_client_that_leaves_gets_no_answer_and_leaves_nothing_behind() -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    bodies = Bodies(MAX_OBJECT, MAX_ARRAY)
    at = doorway(bodies=bodies)
    scope = {"type": "http", "method": "POST", "path": "/salesforce/webhook", "headers": []}
    asyncio.run(_call(at.app, scope, receive, send))
    assert bodies.held == 0
    assert at.log.held == []
    assert at.counted("licet_http_requests_total", route="/salesforce/webhook", status="none") == 1


async def _call(app: Any, *args: Any) -> None:
    await app(*args)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    at = doorway()
    answer = post(at.app, b'{"Id":"a"}', [("content-encoding", encoding)])
    assert (answer.status, answer.json["code"]) == (415, "unsupported_encoding")
    assert at.log.held == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
def test_no_content_type_is_asked_for(kind: str) -> None:
    assert post(doorway().app, b'{"Id":"a"}', [("content-type", kind), ("content-encoding", "identity")]).status == 202


def test_many_large_bodies_at_once_are_shed_with_503_and_room_comes_back() -> None:
    async def story() -> list[int]:
        bodies = Bodies(MAX_OBJECT, MAX_ARRAY, held_limit=600_000)
        hold = asyncio.Event()

        async def slow(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            body = await bodies.read(receive, None)
            await hold.wait()
            bodies.release(body)

        at = doorway(bodies=bodies, routes={"/slow": Route(slow, ("POST",), "")})
        held = [asyncio.create_task(request(at.app, sized(250_000), path="/slow")) for _ in range(2)]
        await asyncio.sleep(0)
        shed = await request(at.app, sized(250_000))
        hold.set()
        await asyncio.gather(*held)
        after = await request(at.app, sized(250_000))
        assert bodies.held == 0
        assert shed is not None
        assert after is not None
        assert shed.headers["retry-after"] == "1"
        return [shed.status, after.status]

    assert asyncio.run(story()) == [503, 202]


def test_a_large_array_lets_other_requests_have_their_turn() -> None:
    async def story() -> list[str]:
        at = doorway()
        done: list[str] = []

        async def large() -> None:
            await request(at.app, b"[" + b",".join([b'{"Id":"a","x":"' + b"y" * 3000 + b'"}'] * 1000) + b"]")
            done.append("large")

        async def small() -> None:
            await request(at.app, b'{"Id":"a"}')
            done.append("small")

        await asyncio.gather(large(), small())
        return done

    assert asyncio.run(story()) == ["small", "large"]


def test_someone_elses_cancellation_is_not_taken_for_a_late_body() -> None:
    async def story() -> None:
        deadlines = Deadlines(0.05)

        async def wait(seconds: float) -> str:
            try:
                with deadlines.over():
                    await asyncio.sleep(seconds)
            except Late:
                return "late"
            return "in time"

        ended = await asyncio.gather(*map(wait, [0, 0.5, 0.01]))
        assert ended == ["in time", "late", "in time"]
        task = asyncio.create_task(wait(5))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_a_cancellation_that_meets_the_deadline_is_still_a_cancellation() -> None:
    async def story() -> None:
        deadlines = Deadlines(0.03)

        async def wait() -> None:
            with deadlines.over():
                try:
                    await asyncio.sleep(5)
                finally:
                    task.cancel()

        task = asyncio.create_task(wait())
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())


def test_a_deadline_outside_a_task_is_a_mistake_of_ours() -> None:
    with pytest.raises(RuntimeError), Deadlines(1).over():
        pass


def test_a_task_that_was_late_once_can_wait_again() -> None:
    async def story() -> None:
        deadlines = Deadlines(0.03)
        for _ in range(3):
            with pytest.raises(Late), deadlines.over():
                await asyncio.sleep(5)
        await asyncio.sleep(0)

    asyncio.run(story())
