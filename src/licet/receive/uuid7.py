"""Event ids of the door's own: UUIDs of version 7, which sort by time (RFC 9562, 5.7)."""

import datetime as dt
from collections.abc import Callable

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # the two upper bits of a digit become 0b10


def uuid7(at: dt.datetime, random_bytes: Callable[[int], bytes]) -> str:
    """Return a UUIDv7 of the moment: 48 bits of milliseconds, the version, the variant, 74 random bits."""
    stamp = f"{(at - _EPOCH) // _MILLISECOND:012x}"
    chance = random_bytes(10).hex()
    return f"{stamp[:8]}-{stamp[8:]}-7{chance[1:4]}-{_VARIANT[chance[4]]}{chance[5:8]}-{chance[8:]}"
