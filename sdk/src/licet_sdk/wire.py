"""The wire: records of the snapshot (NDJSON), events of the stream (SSE). Unknown members are ignored.

Times are microseconds since 1970 (UTC). A position is the service's own and opaque.
"""

from collections.abc import Iterator

import msgspec

from licet_sdk.decision import Value


class License(msgspec.Struct, array_like=True, gc=False):
    """The open row of one SKU; the end is exclusive.

    Or an override: ``sku`` may be ``feature:NAME``, ``status`` is ``granted`` or ``blocked``, ``quantity`` the value.
    """

    sku: str
    status: str
    starts: int | None
    ends: int | None
    quantity: int | float | None
    license_id: str
    since: int


class Record(msgspec.Struct, omit_defaults=True):
    """A line of a snapshot: a customer (``c`` is its id), a user or a domain (``c`` lists customers), or the end."""

    c: str | list[str] = ""
    a: list[str] = []
    l: list[License] = []  # noqa: E741 the wire's name
    gone: bool = False
    u: str | None = None
    d: str | None = None
    end: bool = False
    customers: int = 0
    users: int = 0
    domains: int = 0


class Feature(msgspec.Struct, frozen=True):
    """A feature of the catalog; ``grants`` are (SKU, value)."""

    grants: list[tuple[str, Value]]
    title: str = ""
    when_stale: str = "last_known"


class Catalog(msgspec.Struct, frozen=True):
    """Which SKU grants which feature; ``grace``: of SKUs, in days after the end of a license."""

    version: int
    features: dict[str, Feature]
    grace: dict[str, int] = {}


class Alive(msgspec.Struct, kw_only=True):
    """The sign of life: the newest revision, and how old and how far behind the service's own data is."""

    revision: int
    age_ms: int
    lag_ms: int | None = None


class Head(Alive, kw_only=True):
    """The first line of a snapshot. ``saved_at`` (seconds since 1970) only stands in a copy on disk."""

    licet: str = ""
    format: int = 0
    position: str
    catalog: Catalog
    saved_at: float = 0.0


class Changes(msgspec.Struct):
    """All that changed up to a revision; each record replaces what was there."""

    revision: int
    catalog: Catalog | None = None
    customers: list[Record] = []
    users: list[Record] = []
    domains: list[Record] = []


read_record = msgspec.json.Decoder(Record).decode
read_head = msgspec.json.Decoder(Head).decode
read_changes = msgspec.json.Decoder(Changes).decode
read_alive = msgspec.json.Decoder(Alive).decode
write = msgspec.json.Encoder().encode


class Lines:
    """Cuts chunks of bytes into whole lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that this chunk completes, without their ends."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")


class Events:
    """Makes events of the chunks of a stream."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._fields: dict[bytes, bytes] = {}
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes, str]]:
        """Yield (event, data, last id) of each event that this chunk completes."""
        for line in self._lines.feed(chunk):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"id":
                self._id = value.decode()
            elif field == b"data" and field in self._fields:
                self._fields[field] += b"\n" + value
            elif line:
                self._fields[field] = value
            else:
                if b"data" in self._fields:
                    yield self._fields.get(b"event", b"message"), self._fields[b"data"], self._id
                self._fields = {}
