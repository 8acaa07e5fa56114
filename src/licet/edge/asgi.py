"""The shapes of ASGI, as far as the front uses them, and what every handler does with them."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

from licet.domain.errors import Fault, InvalidInput

AsgiScope = MutableMapping[str, Any]
AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
Handler = Callable[[AsgiScope, Receive, Send], Awaitable[None]]


async def respond(
    send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | bytearray = b""
) -> None:
    """Send a whole answer; Content-Length is added."""
    head = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def header(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    """Return a header, None where there is none. Raises ``InvalidInput`` where there are two."""
    found = [value for name, value in headers if name == wanted]
    if len(found) > 1:
        raise InvalidInput.of(Fault(f"header {wanted.decode()}", "it more than once", "it once"))
    return found[0] if found else None
