"""``POST /salesforce/webhook`` over HTTP: headers, the raw body, who sent it, the door, the answer."""

from collections.abc import Mapping, Sequence

import msgspec

from licet.domain.errors import Fault, InvalidInput, LicetError
from licet.edge.asgi import AsgiScope, Receive, Send
from licet.edge.body import Bodies, ClientGone
from licet.edge.problems import UnsupportedEncoding
from licet.observe.metrics import Metrics
from licet.receive.webhook import MAX_ARRAY, MAX_OBJECT, Door, Post
from licet.receive.who import Gate

HOW = "POST a Salesforce customer here, as a JSON object or an array of up to 1,000."
# Two of these in one request would let two readers see two requests.
_ONCE = frozenset(
    {b"authorization", b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"content-encoding", b"traceparent"}
)
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Webhook:
    """The handler of the hot path."""

    def __init__(self, gate: Gate, door: Door, metrics: Metrics, bodies: Bodies | None = None) -> None:
        self._gate = gate
        self._door = door
        self._refused = metrics.webhook_refused
        self._bodies = bodies or Bodies(MAX_OBJECT, MAX_ARRAY)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one post; errors are for the front."""
        try:
            headers = _headers(scope["headers"])
            source = await self._gate.admit(headers)
            body = await self._bodies.read(receive, headers.get(b"content-length"))
            try:
                source = self._gate.verify(headers, body, source)
                post = Post(source, _text(headers.get(b"webhook-id")), _text(headers.get(b"traceparent")))
                answer = _encode(await self._door.receive(post, body))
            finally:
                self._bodies.release(body)
        except LicetError as error:
            self._refused.labels(error.code).inc()
            raise
        except ClientGone:
            self._refused.labels("client_gone").inc()
            return
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 202, "headers": [_JSON, length]})
        await send({"type": "http.response.body", "body": answer})


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
