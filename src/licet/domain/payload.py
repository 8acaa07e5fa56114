"""JSON as Licet reads it: strict, so that what one reader saw every reader sees.

Refused are duplicate keys (readers disagree on which one counts), NaN and infinities, U+0000 (PostgreSQL cannot
keep it), lone surrogates (no UTF-8 for them), and more than 32 levels.
"""

import hashlib
import json
import math
import re
from typing import Any, NoReturn

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown

MAX_DEPTH = 32

_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_canonical = msgspec.json.Encoder(order="sorted")
_items = msgspec.json.Decoder(list[msgspec.Raw])


def read_object(raw: bytes, at: str = "body") -> dict[str, Any]:
    """Parse one JSON object. ``at`` names the place in faults. Raises ``InvalidInput``."""
    value = _load(raw, at)
    if not isinstance(value, dict):
        raise InvalidInput.of(Fault(at, shown(value), "a JSON object"))
    return value


def split_array(raw: bytes) -> list[bytes]:
    """Split a JSON array into the exact bytes of its items, unjudged. Raises ``InvalidInput``."""
    try:
        return [bytes(item) for item in _items.decode(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput.of(Fault("body", str(error), "a JSON array of objects")) from error


def is_array(raw: bytes) -> bool:
    """Tell whether the body starts as an array."""
    return raw.lstrip(b" \t\r\n")[:1] == b"["


def hash_of(value: dict[str, Any]) -> bytes:
    """Hash the payload's content: 16 bytes, the same for any order of keys and any spacing."""
    return hashlib.blake2b(_canonical.encode(value), digest_size=16).digest()


def _load(raw: bytes, at: str) -> object:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput.of(Fault(at, f"a byte that is no UTF-8 at {error.start}", "UTF-8")) from error
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise InvalidInput.of(Fault(at, "deeper nesting", f"at most {MAX_DEPTH} levels"))
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at character {error.pos}" if text else "nothing"
        raise InvalidInput.of(Fault(at, where, "one JSON object")) from error
    except _Refused as error:
        raise InvalidInput.of(Fault(at, str(error), "JSON that every reader reads alike")) from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise InvalidInput.of(Fault(at, "a number too long to read", "a number of at most 4,300 digits")) from error
    if "\\u" in text:
        _refuse_unstorable(value, at)
    return value


class _Refused(Exception):
    """The JSON is well formed and not acceptable."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"the key {shown(twice)} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _Refused(name)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused(f"{text[:40]}, beyond what a number can hold")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def _depth(text: str) -> int:
    deepest = level = 0
    for token in _TOKENS.finditer(text):
        mark = text[token.start()]
        if mark in "[{":
            level += 1
            deepest = max(deepest, level)
        elif mark in "]}":
            level -= 1
    return deepest


def _refuse_unstorable(value: object, at: str) -> None:
    match value:
        case str():
            if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
                raise InvalidInput.of(Fault(at, "U+0000 or a lone surrogate", "characters that UTF-8 can keep"))
        case list():
            for index, item in enumerate(value):
                _refuse_unstorable(item, f"{at}[{index}]")
        case dict():
            for key, item in value.items():
                _refuse_unstorable(key, at)
                _refuse_unstorable(item, f"{at}.{key}")
