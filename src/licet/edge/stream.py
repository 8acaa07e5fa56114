"""``GET /v1/snapshot`` and ``GET /v1/stream`` over HTTP, on the bare front."""

import asyncio
import contextlib
import datetime as dt
import functools
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from licet.answer import wire
from licet.answer.snapshot import Latest
from licet.answer.stream import Hub, Part
from licet.answer.watch import Watch
from licet.domain.errors import Fault, InvalidInput, LicetError, Unavailable
from licet.domain.ids import shown
from licet.domain.principal import Scope
from licet.edge.asgi import AsgiScope, Receive, Send, header
from licet.edge.authentication import Authenticator
from licet.store.records import Position

SNAPSHOT = "GET /v1/snapshot?feature=…: all that a decision reads, as lines of JSON; the last says that it is whole."
STREAM = "GET /v1/stream?feature=…&customer=…&after=…: what changes, as server-sent events."
OFREP = "GET /ofrep/v1/stream?user=…&customer=…: OFREP's event stream; `refetchEvaluation`: evaluate again."
# Each is encoded in a thread, beside the checks.
SNAPSHOTS = 4
# Some 80 kB: a thread makes it within 1 ms, in which the loop waits for it at most once.
CHUNK = 250
# A caller that takes no chunk for so long is let go.
STALLED_S = 30.0
# A stream ends so long after its key was revoked, and the second that the keys are read in.
STILL_KNOWN_S = 1.0
_MOST = 100
_AGAIN = b'event: message\ndata: {"type":"refetchEvaluation"}\n\n'
_LINES, _EVENTS = b"application/x-ndjson", b"text/event-stream"


class Snapshots:
    """The handler of ``/v1/snapshot``. It is served from memory, whatever the store does."""

    def __init__(self, latest: Latest, authenticator: Authenticator) -> None:
        self._latest = latest
        self._authenticator = authenticator
        self._running = 0

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer; an answer that is cut short lacks its last line."""
        (await self._authenticator.authenticate(header(scope["headers"], b"authorization"))).require(Scope.SNAPSHOT)
        snapshot = self._latest.get()
        features = wire.known_features(snapshot.catalog, _read(scope, "feature")["feature"])
        if self._running >= SNAPSHOTS:
            raise Unavailable(f"{SNAPSHOTS} snapshots are being sent already", 2)
        self._running += 1
        try:
            fresh = self._latest.freshness()
            lines = wire.snapshot_lines(
                snapshot.position, snapshot.catalog, fresh, snapshot.whole(CHUNK), frozenset(features)
            )
            await send(_start(_LINES))
            gone = asyncio.Event()
            async with _noticing(receive, gone.set):
                while not gone.is_set() and (chunk := await asyncio.to_thread(next, lines, b"")):
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return  # the server then cuts the connection, so that the caller sees an answer cut short
        finally:
            self._running -= 1


class Stream:
    """The handler of ``/v1/stream``."""

    scope = Scope.SNAPSHOT

    def __init__(self, hub: Hub, latest: Latest, authenticator: Authenticator) -> None:
        self._hub = hub
        self._latest = latest
        self._authenticator = authenticator

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer, until the caller hangs up, is too slow or unknown, or Licet stops."""
        key = self.key(scope)
        (await self._authenticator.authenticate(key)).require(self.scope)
        part, after, say = self.begin(scope)
        async with self._hub.reader(part, after) as reader:
            await send(_start(_EVENTS))
            if line := scope.get("licet.connection"):
                reader.write = lambda event: line.write(_chunk(say(event)))
            judged_at = time.monotonic()
            async with _noticing(receive, reader.end):
                while events := await reader.next():
                    await send({"type": "http.response.body", "body": say(events), "more_body": True})
                    if time.monotonic() - judged_at > STILL_KNOWN_S:
                        judged_at = time.monotonic()
                        if reason := await self._stranger(key):
                            reader.end(wire.last("cut_off", reason))
            await send({"type": "http.response.body", "body": b""})

    def key(self, scope: AsgiScope) -> bytes | None:
        """Return what the caller is known by."""
        return header(scope["headers"], b"authorization")

    def begin(self, scope: AsgiScope) -> tuple[Part, Position | None, Callable[[bytes], bytes]]:
        """Read what is asked for, from where on, and how to put events into the words of the protocol."""
        asked = _read(scope, "feature", "customer", "after")
        part = Part.of(self._latest.get(), asked["feature"], asked["customer"])
        return part, _after(scope, asked["after"]), bytes

    async def _stranger(self, key: bytes | None) -> str:
        """Say why the caller may no longer read; nothing where it may."""
        try:
            (await self._authenticator.authenticate(key)).require(self.scope)
        except LicetError as error:
            return error.detail
        return ""


class OfrepStream(Stream):
    """The handler of OFREP's event stream: says when to evaluate again (``refetchEvaluation``), and nothing else.

    It says so first of all: clients neither evaluate again by themselves once they are connected again, nor do they
    ever ask for another address. A change of the customers that were found at first is told at once; what else may
    change an answer is noticed with the next sign of life.
    """

    scope = Scope.READ

    def __init__(
        self,
        hub: Hub,
        latest: Latest,
        authenticator: Authenticator,
        clock: Callable[[], dt.datetime],
        stale_after_s: float,
    ) -> None:
        super().__init__(hub, latest, authenticator)
        self._clock = clock
        self._stale_after_s = stale_after_s

    def key(self, scope: AsgiScope) -> bytes | None:
        """Return the key, which the protocol's clients may send as ``X-API-Key``."""
        key = dict(scope["headers"]).get(b"x-api-key")
        return b"Bearer " + key if key else header(scope["headers"], b"authorization")

    def begin(self, scope: AsgiScope) -> tuple[Part, Position | None, Callable[[bytes], bytes]]:
        """Watch whom the address names."""
        asked = _read(scope, "user", "customer")
        if not any(asked.values()):
            raise InvalidInput.of(Fault("query", "nobody", "a user or a customer"))
        watch = Watch(self._latest, self._clock, self._stale_after_s, asked["user"], asked["customer"])
        return Part(customers=watch.customers()), None, lambda _: _AGAIN if watch.moved() else b":\n\n"


@functools.lru_cache(4)
def _chunk(body: bytes) -> bytes:
    """Put a part of an answer into HTTP's frame, once for all readers."""
    return b"%x\r\n%b\r\n" % (len(body), body)


@contextlib.asynccontextmanager
async def _noticing(receive: Receive, then: Callable[[], object]) -> AsyncIterator[None]:
    """Call ``then`` as soon as the caller hangs up."""

    async def notice() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        then()

    noticing = asyncio.create_task(notice())
    try:
        yield
    finally:
        noticing.cancel()


def described() -> dict[str, Any]:
    """Return what the OpenAPI document says of these paths."""
    said = {
        "feature": "Only this feature, and licenses of the SKUs that grant it; may stand several times.",
        "customer": "Only this customer, by id or alias; may stand several times.",
        "user": "What is said of this user; may stand several times.",
        "after": "Resume after this position, the `position` of a snapshot or the `id` of an event.",
        "Last-Event-ID": "The same; goes before `after`.",
    }

    def parameter(name: str) -> dict[str, Any]:
        text = {"type": "string"}
        schema = {"type": "array", "items": text} if name in ("feature", "customer", "user") else text
        place = "header" if name == "Last-Event-ID" else "query"
        return {"name": name, "in": place, "description": said[name], "schema": schema}

    def operation(
        name: str, about: str, how: str, kind: bytes, parameters: Iterable[str], scope: str = "snapshot"
    ) -> dict[str, Any]:
        return {
            "operationId": name,
            "tags": ["Following"],
            "summary": about,
            "description": f"{how} Needs the scope `{scope}`. docs/reference/stream.md tells the lines and events.",
            "parameters": [parameter(one) for one in parameters],
            "responses": {"200": {"description": about, "content": {kind.decode(): {"schema": {"type": "string"}}}}},
            "security": [{"key": []}],
        }

    whole = operation("Snapshot", "All that a decision reads, at one moment", SNAPSHOT, _LINES, ["feature"])
    changes = operation(
        "Stream", "What changes, as it changes", STREAM, _EVENTS, [one for one in said if one != "user"]
    )
    again = operation("OfrepStream", "When to evaluate again (OFREP)", OFREP, _EVENTS, ["user", "customer"], "read")
    return {"/v1/snapshot": {"get": whole}, "/v1/stream": {"get": changes}, "/ofrep/v1/stream": {"get": again}}


def _start(kind: bytes) -> dict[str, Any]:
    # The last header keeps nginx from collecting the answer before it passes it on.
    headers = [(b"content-type", kind), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _read(scope: AsgiScope, *names: str) -> dict[str, list[str]]:
    """Read the query string. Raises ``InvalidInput``."""
    expected = " and ".join(names)
    try:
        query = scope["query_string"].decode("ascii")
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except ValueError as error:
        raise InvalidInput.of(Fault("query", f"no UTF-8, or more than {_MOST} fields", expected)) from error
    unknown = [name for name, _ in pairs if name not in names]
    if unknown:
        raise InvalidInput.of(*(Fault("query", f"the parameter {shown(name)}", expected) for name in unknown))
    return {name: [value for key, value in pairs if key == name] for name in names}


def _after(scope: AsgiScope, asked: Sequence[str]) -> Position | None:
    """Return where to resume: the header goes first, which a browser sends when it comes back to the same address."""
    sent = [value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id" and value]
    said = sent or asked
    return Position.parse(said[0]) if said else None
