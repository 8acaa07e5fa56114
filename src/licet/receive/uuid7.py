"""Event ids of the door's own: UUIDs of version 7, which sort by time (RFC 9562, 5.7)."""

import datetime as dt
from collections.abc import Callable

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def uuid7(at: dt.datetime, random_bytes: Callable[[int], bytes]) -> str:
    """Return a UUIDv7 of the moment: 48 bits of milliseconds, the version, the variant, 74 random bits."""
    raw = bytearray(((at - _EPOCH) // _MILLISECOND).to_bytes(6, "big") + random_bytes(10))
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
