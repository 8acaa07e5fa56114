"""``POST /salesforce/webhook`` over HTTP: headers, the raw body, who sent it, the door, the answer."""

from collections.abc import Mapping, Sequence

import msgspec

from licet.domain.errors import Fault, InvalidInput, LicetError, Unavailable
from licet.edge.asgi import AsgiScope, Receive, Send
from licet.edge.body import Bodies, ClientGone
from licet.edge.deadlines import Deadlines, Late, Task, current
from licet.edge.problems import UnsupportedEncoding
from licet.observe.metrics import Metrics
from licet.receive.register import Register
from licet.receive.webhook import MAX_ARRAY, MAX_OBJECT, Door, Post
from licet.receive.who import SIGNATURE, Gate

HOW = "POST a Salesforce customer here, as a JSON object or an array of up to 1,000."
# A sender waits no longer: Apex gives up after 10 s. The queue's own limit is 4 s.
HANDLER_LIMIT_S = 5.0
# Beyond it posts get a 503: at 14 thousand a second these are a third of a second's.
IN_FLIGHT = 4096
# Two of these in one request would let two readers see two requests.
_ONCE = frozenset(
    {b"authorization", b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"content-encoding", b"traceparent"}
)
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Webhook:
    """The handler of the hot path. At most ``most`` posts are in flight; each is answered within ``limit_s``."""

    def __init__(
        self,
        gate: Gate,
        door: Door,
        metrics: Metrics,
        register: Register,
        bodies: Bodies | None = None,
        *,
        most: int = IN_FLIGHT,
        limit_s: float = HANDLER_LIMIT_S,
    ) -> None:
        self._gate = gate
        self._door = door
        self._refused = metrics.webhook_refused
        self._register = register
        self._bodies = bodies or Bodies(MAX_OBJECT, MAX_ARRAY)
        self._most = most
        self._in_flight = 0
        self._deadlines = Deadlines(limit_s)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one post; errors are for the front."""
        try:
            answer = await self._in_time(scope, receive)
        except LicetError as error:
            self._refused.labels(error.code).inc()
            raise
        except ClientGone:
            self._refused.labels("client_gone").inc()
            return
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 202, "headers": [_JSON, length]})
        await send({"type": "http.response.body", "body": answer})

    async def _in_time(self, scope: AsgiScope, receive: Receive) -> bytes:
        if self._in_flight >= self._most:
            raise Unavailable(f"{self._most} posts are in flight", 1)
        self._in_flight += 1
        task = current()
        try:
            with self._deadlines.over(task):
                return await self._answer(scope, receive, task)
        except Late as error:
            raise Unavailable("the change was not confirmed in time; post it again", 1) from error
        finally:
            self._in_flight -= 1

    async def _answer(self, scope: AsgiScope, receive: Receive, task: Task) -> bytes:
        source = ""
        try:
            headers = _headers(scope["headers"])
            admitted = await self._gate.admit(headers)
            source = admitted or ""
            body = await self._bodies.read(receive, headers.get(b"content-length"), task)
            try:
                source = self._gate.verify(headers, body, admitted)
                proven = SIGNATURE in headers or b"authorization" in headers
                post = Post(source, _text(headers.get(b"webhook-id")), _text(headers.get(b"traceparent")), proven)
                return _encode(await self._door.receive(post, body))
            finally:
                self._bodies.release(body)
        except LicetError as error:
            self._register.refused(source, error)
            raise


def _headers(sent: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Look the headers over. Raises ``InvalidInput`` for a doubled one, ``UnsupportedEncoding``."""
    headers = dict(sent)
    if len(headers) != len(sent):
        names = [name for name, _ in sent]
        twice = sorted(name.decode() for name in _ONCE if names.count(name) > 1)
        if twice:
            raise InvalidInput.of(*(Fault(f"header {name}", "it more than once", "it once") for name in twice))
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"identity", b""):
        raise UnsupportedEncoding("send the body without Content-Encoding")
    return headers


def _text(header: bytes | None) -> str | None:
    return header.decode("latin-1") if header is not None else None
