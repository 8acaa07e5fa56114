"""The short reference of a refusal, which a visitor can read to support: customer, feature, revision, time; no secret.

``python -m licet_sdk.reference TEXT`` reads it.
"""

import base64
import datetime as dt
import sys
import time
import zlib

import msgspec

from licet_sdk.decision import Decision


class Reference(msgspec.Struct, frozen=True, array_like=True):
    """What was refused to whom. ``at`` is in seconds since 1970."""

    customer: str | None
    feature: str
    revision: int
    at: int


def encode(decision: Decision, at: float | None = None) -> str:
    """Return a decision's reference in letters that an address may hold."""
    told = Reference(decision.customer, decision.feature, decision.revision, int(time.time() if at is None else at))
    raw = msgspec.msgpack.encode(told)
    return base64.urlsafe_b64encode(zlib.crc32(raw).to_bytes(4, "big")[2:] + raw).decode().rstrip("=")


def decode(text: str) -> Reference:
    """Read a reference. Raises ``ValueError`` where it is none, or was not copied right."""
    raw = base64.urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
    if zlib.crc32(raw[2:]).to_bytes(4, "big")[2:] != raw[:2]:
        raise ValueError("this is no reference of Licet, or it was not copied right")
    return msgspec.msgpack.decode(raw[2:], type=Reference)


if __name__ == "__main__":
    found = decode(sys.argv[1])
    print(f"{dt.datetime.fromtimestamp(found.at, dt.timezone.utc):%Y-%m-%d %H:%M:%S} UTC", found)  # noqa: T201 a command
