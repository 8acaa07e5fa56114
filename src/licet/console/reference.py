"""The reference on a page that refused somebody, as the SDK writes it (``licet_sdk.reference``); they share no code."""

import base64
import datetime as dt
import zlib

import msgspec


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """What was refused to whom. ``at`` is in seconds since 1970."""

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
