"""Cursors: where a page ended, opaque to callers so that the order behind it may change."""

import base64
import binascii
import uuid
from typing import TypeVar

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown

T = TypeVar("T")


def write_cursor(place: object) -> str:
    """Write a place as a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def read_cursor(text: str | None, kind: type[T]) -> T | None:
    """Read a cursor of the list whose places are of this kind. Raises ``InvalidInput``."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(raw, type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise _unreadable(text) from error
    if not _storable(place):
        raise _unreadable(text)
    return place


def _storable(place: object) -> bool:
    """Tell whether the store could hold this place: no page ends at one that it cannot hold."""
    match place:
        case str():
            return "\x00" not in place
        case int():
            return 0 <= place < 2**63
        case tuple():
            return all(_storable(part) for part in place)
        case _:
            return place is None or isinstance(place, uuid.UUID)


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput.of(Fault("cursor", shown(text), "the `next` of a page of this list"))
