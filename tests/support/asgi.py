"""Requests to an ASGI callable, as a server would make them: chunk by chunk, with any headers, honest or not."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import msgspec

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
NEVER = object()


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def faults(self) -> list[tuple[str, str, str]]:
        return [(fault["field"], fault["found"], fault["expected"]) for fault in self.json["faults"]]


async def request(
    app: App,
    body: bytes | Sequence[bytes | object] = b"",
    *,
    method: str = "POST",
    path: str = "/salesforce/webhook",
    headers: Iterable[tuple[str, str]] = (),
) -> Answer | None:
    """Send one request. A sequence is sent in chunks, ``NEVER`` among them stalls; None: no answer came."""
    chunks = list(body) if not isinstance(body, bytes) else [body]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        if chunk is NEVER:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
    }
    await app(scope, receive, send)
    if not sent:
        return None
    start, *rest = sent
    assert start["type"] == "http.response.start"
    head = {name.decode(): value.decode() for name, value in start["headers"]}
    content = b"".join(message.get("body", b"") for message in rest)
    assert int(head["content-length"]) == len(content)
    return Answer(start["status"], head, content)


def post(app: App, body: bytes | Sequence[bytes | object], headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Post to the webhook and return the answer."""
    answer = asyncio.run(request(app, body, headers=headers))
    assert answer is not None
    return answer
