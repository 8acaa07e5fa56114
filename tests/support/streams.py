"""The other side of snapshot and stream, written from the wire's page alone: a caller, and a reader that keeps up."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Collection, Iterable, MutableMapping
from typing import Any, Self

import msgspec

from support.asgi import App

Message = MutableMapping[str, Any]


class Event(msgspec.Struct, frozen=True):
    """An event of a stream; ``id`` is the last one that was sent."""

    name: str
    data: Any
    id: str


class Events:
    """Makes events of text."""

    def __init__(self) -> None:
        self._rest = ""
        self._id = ""

    def feed(self, text: str) -> list[Event]:
        *blocks, self._rest = (self._rest + text).split("\n\n")
        found = []
        for block in blocks:
            if block.startswith(":"):  # a comment
                continue
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            self._id = fields.get("id", self._id)
            found.append(Event(fields["event"], json.loads(fields["data"]), self._id))
        return found


class Caller:
    """An open request to an ASGI callable. ``flow`` unset: the caller takes nothing."""

    def __init__(self, app: App, path: str, key: str, headers: Iterable[tuple[str, str]]) -> None:
        path, _, query = path.partition("?")
        sent = [("authorization", f"Bearer {key}"), *headers]
        self._scope: Message = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent],
        }
        self._app = app
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._events = Events()
        self._waiting: list[Event] = []
        self.flow = asyncio.Event()
        self.flow.set()
        self.over = False
        self.status = 0
        self.body = b""

    async def open(self) -> Self:
        """Send the request and wait for the answer's head."""
        self.task = asyncio.ensure_future(self._app(self._scope, self._receive, self._send))
        start = await self._next()
        self.status = start["status"]
        self.headers = dict(start["headers"])
        return self

    async def read(self) -> bytes:
        """Read to the end."""
        while not self.over:
            await self.chunk()
        return self.body

    async def chunk(self) -> bytes:
        """Read what is sent next."""
        message = await self._next()
        self.over = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        self.body += chunk
        return chunk

    async def event(self, *names: str) -> Event:
        """Return the next event, of these names if any are given."""
        while True:
            while not self._waiting:
                assert not self.over, f"the stream is over: {self.body!r}"
                self._waiting += self._events.feed((await self.chunk()).decode())
            event = self._waiting.pop(0)
            if not names or event.name in names:
                return event

    def hang_up(self) -> None:
        """Close the connection."""
        self._gone.set()
        self.flow.set()

    async def _next(self) -> Message:
        return await asyncio.wait_for(self._sent.get(), 15)

    async def _receive(self) -> Message:
        if not self._scope.get("asked"):
            self._scope["asked"] = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.flow.wait()
        if not self._gone.is_set():
            self._sent.put_nowait(message)


@contextlib.asynccontextmanager
async def called(app: App, path: str, key: str, *headers: tuple[str, str]) -> AsyncIterator[Caller]:
    """Call, and hang up at the end; what the handler raises then is raised here."""
    caller = await Caller(app, path, key, headers).open()
    try:
        yield caller
    finally:
        caller.hang_up()
        await asyncio.wait_for(caller.task, 15)


class Mirror:
    """Keeps what a snapshot told, and moves on with each event. It knows the wire and nothing else."""

    def __init__(self, lines: bytes) -> None:
        head, *records, last = [json.loads(line) for line in lines.decode().splitlines()]
        assert (head["licet"], head["format"]) == ("snapshot", 1)
        assert last.pop("end") is True
        self.position: str = head["position"]
        self.catalog = head["catalog"]
        self.customers: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        self.users: dict[str, list[str]] = {}
        self.domains: dict[str, list[str]] = {}
        for record in records:
            self._put(record)
        told = {"customers": len(self.customers), "users": len(self.users), "domains": len(self.domains)}
        assert last == told

    def take(self, event: Event) -> None:
        """Move on."""
        assert event.name in ("changes", "alive")
        self.position = event.id
        self.catalog = event.data.get("catalog", self.catalog)
        for kind in ("customers", "users", "domains"):
            for record in event.data.get(kind, ()):
                self._put(record)

    def narrowed(self, customers: Collection[str]) -> Self:
        """Forget all that is not about these customers, if any are named."""
        if customers:
            self.customers = {name: one for name, one in self.customers.items() if name in customers}
            self.aliases = {alias: one for alias, one in self.aliases.items() if one in customers}
            for names in (self.users, self.domains):
                kept = {name: [one for one in ids if one in customers] for name, ids in names.items()}
                names.clear()
                names.update({name: ids for name, ids in kept.items() if ids})
        return self

    def _put(self, record: Any) -> None:
        if "u" in record or "d" in record:
            names, name = (self.users, record["u"]) if "u" in record else (self.domains, record["d"])
            names[name] = record["c"]
            if not record["c"]:
                del names[name]
            return
        customer = record["c"]
        before = self.customers.pop(customer, {"a": []})
        after = [] if record.get("gone") else record["a"]
        for alias in set(before["a"]) - set(after):
            if self.aliases.get(alias) == customer:
                del self.aliases[alias]
        self.aliases.update(dict.fromkeys(after, customer))
        if not record.get("gone"):
            self.customers[customer] = record

    @property
    def state(self) -> dict[str, Any]:
        """All of it but where it stands."""
        return {name: value for name, value in vars(self).items() if name != "position"}
