"""Cursors: where a page ended, opaque to callers so that the order behind it may change."""

import base64
import binascii
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
        raise InvalidInput.of(Fault("cursor", shown(text), "the `next` of a page of this list")) from error
    if "\\u0000" in raw.decode():  # PostgreSQL keeps no such text, so no page ended there
        raise InvalidInput.of(Fault("cursor", shown(text), "the `next` of a page of this list"))
    return place
