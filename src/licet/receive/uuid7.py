"""Event ids of the door's own: UUIDs of version 7, which sort by time (RFC 9562, 5.7)."""

import datetime as dt
from collections.abc import Callable

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def uuid7(at: dt.datetime, random_bytes: Callable[[int], bytes]) -> str:
    """Return a UUIDv7 of the moment: 48 bits of milliseconds, the version, the variant, 74 random bits."""
    chance = int.from_bytes(random_bytes(10), "big")
    number = ((at - _EPOCH) // _MILLISECOND & (1 << 48) - 1) << 80
    number |= 7 << 76 | (chance >> 62 & 0xFFF) << 64 | 2 << 62 | chance & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
