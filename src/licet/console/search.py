"""The first page: a customer by whatever one has of it."""

import base64
import datetime as dt
import zlib

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.reading import Reading
from licet.console.frame import HOME, Page

_MOST = 20


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """What a page that refused somebody shows, as ``licet_sdk.reference`` writes it. ``at``: seconds since 1970."""

    customer: str | None
    feature: str
    revision: int
    at: int

    @property
    def time(self) -> dt.datetime:
        """When it was refused. Raises ``ValueError`` or ``OverflowError`` for what is no time."""
        return dt.datetime.fromtimestamp(self.at, dt.UTC)


def find_reference(text: str) -> Reference | None:
    """Read a reference, None where the text is none: two bytes of a checksum stand before the message."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found = msgspec.msgpack.decode(raw[2:], type=Reference)
        found.time  # noqa: B018 it must be one
    except (ValueError, OverflowError, OSError, msgspec.DecodeError):
        return None
    return found if zlib.crc32(raw[2:]).to_bytes(4, "big")[2:] == raw[:2] else None


@get(HOME)
async def get_home(
    page: NamedDependency[Page], reading: NamedDependency[Reading], q: FromQuery[str] = ""
) -> Response[str]:
    """Search, and what was found; without a text the first customers by name."""
    text = "".join(one for one in q if one.isprintable()).strip()[:200]
    found, more = await reading.find(text, _MOST)
    return page.show("search.html", "found", q=text, found=found, more=more, reference=find_reference(text))
