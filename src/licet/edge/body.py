"""Request bodies, with three bounds that hold whatever a client claims: bytes per body, seconds, bytes in memory."""

from licet.domain.errors import Fault, InvalidInput, PayloadTooLarge, Unavailable
from licet.edge.asgi import Receive
from licet.edge.deadlines import Deadlines, Late, Task
from licet.edge.problems import BodyTooSlow

READ_LIMIT_S = 2.0
# All bodies being read or waiting for the queue. Beyond it the door is shut for a second, so that a flood of large
# posts cannot take the process's memory.
HELD_LIMIT = 64 * 1024 * 1024
# What a request costs beside its body: its task, its headers, its buffers.
_OVERHEAD = 4096
_SPACE = b" \t\r\n"


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


class Bodies:
    """Reads bodies of at most ``max_object`` bytes, or ``max_array`` where the first byte that is no space is ``[``."""

    def __init__(
        self, max_object: int, max_array: int, *, limit_s: float = READ_LIMIT_S, held_limit: int = HELD_LIMIT
    ) -> None:
        self._max_object = max_object
        self._max_array = max_array
        self._deadlines = Deadlines(limit_s)
        self._slow = f"the body did not end within {limit_s:g} s"
        self._held_limit = held_limit
        self.held = 0  # the bytes taken up now

    async def read(self, receive: Receive, declared: bytes | None, task: Task | None = None) -> bytes:
        """Read the whole body; whoever gets it calls ``release`` when done with it.

        ``declared`` is Content-Length, believed only where it already says too much; ``task`` is who reads. Raises
        ``PayloadTooLarge``, ``BodyTooSlow``, ``Unavailable`` (too many bodies at once) or ``ClientGone``.
        """
        if declared is not None and declared.isdigit() and int(declared[:20]) > self._max_array:
            raise _too_large(self._max_array)
        self._take(_OVERHEAD)
        taken = _OVERHEAD
        body = bytearray()
        limit, opening = self._max_object, b""
        try:
            with self._deadlines.over(task):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise ClientGone
                    chunk: bytes = message.get("body", b"")
                    if not opening:
                        opening = chunk.lstrip(_SPACE)[:1]
                        limit = self._max_array if opening == b"[" else self._max_object
                    if len(body) + len(chunk) > limit:
                        raise _too_large(limit)
                    self._take(len(chunk))
                    taken += len(chunk)
                    if not message.get("more_body", False):
                        taken = 0
                        return bytes(body + chunk) if body else chunk
                    body += chunk
        except Late as error:
            raise BodyTooSlow(self._slow) from error
        finally:
            self.held -= taken

    def release(self, body: bytes) -> None:
        """Give back what ``read`` took up for this body."""
        self.held -= _OVERHEAD + len(body)

    def _take(self, count: int) -> None:
        if self.held + count > self._held_limit:
            raise Unavailable("too many posts are being received at once", 1)
        self.held += count


def _too_large(limit: int) -> InvalidInput:
    return PayloadTooLarge.of(Fault("body", "more bytes", f"at most {limit} bytes"))
