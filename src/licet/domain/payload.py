"""JSON as Licet reads it: strict, so that what one reader saw every reader sees.

Refused are duplicate keys (readers disagree on which one counts), NaN and infinities, U+0000 (PostgreSQL cannot
keep it), lone surrogates (no UTF-8 for them), and more than 32 levels.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown

MAX_DEPTH = 32

# Both match an unterminated string to the text's end and never go back: a search that does takes minutes for 256 KiB
# of escaped quotes.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = re.compile(r"[^\[\]{}]++")
_SPACE = re.compile(r"[ \t\r\n]*+")
# No float: it may be one that no number can hold, 1e999.
_flat = msgspec.json.Decoder(dict[str, str | bool | int | None]).decode
_canonical = msgspec.json.Encoder(order="sorted")


def read_object(raw: bytes, at: str = "body") -> dict[str, Any]:
    """Parse one JSON object. ``at`` names the place in faults. Raises ``InvalidInput``."""
    plain = _plain(raw)
    if plain is not None:
        return plain
    text = _text(raw, at)
    if _is_deeper(text, MAX_DEPTH):
        raise _too_deep(at)
    try:
        value = _strict.decode(text)
    except (_Refused, ValueError, RecursionError) as error:
        raise _faulty(error, at) from error
    return _object_of(value, text, at)


def read_array(raw: bytes) -> Iterator[tuple[bytes, dict[str, Any] | InvalidInput]]:
    """Yield of each item of a JSON array its exact bytes, and the object or what is wrong with it.

    Raises ``InvalidInput``, perhaps after some items, where the body is no JSON array at all: then no item counts.
    """
    text = _text(raw, "body")
    deep = _is_deeper(text, MAX_DEPTH + 1)
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise InvalidInput.of(Fault("body", f"no [ at character {at}", "a JSON array of objects"))
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        raise InvalidInput.of(Fault("body", "an array of 0", "an array of at least one object"))
    while True:
        found, end = _item(text, at, deep=deep)
        yield text[at:end].encode(), found
        at = _skip(text, end)
        mark = text[at : at + 1]
        if mark == "]":
            break
        if mark != ",":
            raise InvalidInput.of(Fault("body", f"neither , nor ] at character {at}", "a JSON array of objects"))
        at = _skip(text, at + 1)
    if _skip(text, at + 1) != len(text):
        raise InvalidInput.of(Fault("body", f"more after the array at character {at + 1}", "one JSON array"))


def is_array(raw: bytes) -> bool:
    """Tell whether the body starts as an array."""
    return raw[:1] == b"[" or (raw[:1] in b" \t\r\n" and raw.lstrip(b" \t\r\n")[:1] == b"[")


def hash_of(value: dict[str, Any]) -> bytes:
    """Hash the payload's content: 16 bytes, the same for any order of keys and any spacing."""
    return hashlib.blake2b(_canonical.encode(value), digest_size=16).digest()


def _plain(raw: bytes) -> dict[str, Any] | None:
    """Read a flat object that hides nothing, as nearly all are, in a third of the time; None where it is not that.

    Without a backslash each string costs two quotes, so one quote too many betrays a key that stood twice.
    """
    if b"\\" in raw:
        return None
    try:
        value = _flat(raw)
    except (ValueError, RecursionError):
        return None
    strings = len(value) + list(map(type, value.values())).count(str)
    return value if raw.count(b'"') == 2 * strings else None


def _text(raw: bytes, at: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput.of(Fault(at, f"a byte that is no UTF-8 at {error.start}", "UTF-8")) from error
    if not text:
        raise InvalidInput.of(Fault(at, "nothing", "a JSON object"))
    return text


def _item(text: str, at: int, *, deep: bool) -> tuple[dict[str, Any] | InvalidInput, int]:
    """Read the value that starts at a character. Returns the object or its faults, and where it ends."""
    end = None
    try:
        if deep:
            end = _end_of(text, at)
            return read_object(text[at:end].encode()), end
        value, end = _strict.raw_decode(text, at)
        return _object_of(value, text[at:end], "body"), end
    except InvalidInput as error:
        if end is None:  # nobody can tell where this item ends
            raise
        return error, end
    except (_Refused, ValueError, RecursionError) as error:
        return _faulty(error, "body"), _end_of(text, at)


def _end_of(text: str, at: int) -> int:
    """Find the end of a value that the strict reader may refuse. Raises ``InvalidInput`` where nobody can read it."""
    try:
        return int(_lenient.raw_decode(text, at)[1])
    except (ValueError, RecursionError) as error:
        raise _faulty(error, "body") from error


def _object_of(value: object, text: str, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput.of(Fault(at, shown(value), "a JSON object"))
    if "\\u" in text:
        _refuse_unstorable(value, at)
    return value


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _too_deep(at: str) -> InvalidInput:
    return InvalidInput.of(Fault(at, "deeper nesting", f"at most {MAX_DEPTH} levels"))


def _faulty(error: Exception, at: str) -> InvalidInput:
    match error:
        case _Refused():
            return InvalidInput.of(Fault(at, str(error), "JSON that every reader reads alike"))
        case json.JSONDecodeError():
            return InvalidInput.of(Fault(at, f"{error.msg} at character {error.pos}", "JSON"))
        case RecursionError():
            return _too_deep(at)
        case _:  # int() refuses more than 4,300 digits
            return InvalidInput.of(Fault(at, "a number too long to read", "a number of at most 4,300 digits"))


class _Refused(Exception):
    """The JSON is well formed and not acceptable."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused(f"the key {shown(_printable(twice))} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _Refused(name)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused(f"{text[:40]}, beyond what a number can hold")
    return number


_strict = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
# Reads what the strict one refuses, only to find where it ends.
_lenient = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)


def _is_deeper(text: str, levels: int) -> bool:
    """Tell whether brackets nest deeper. Each round takes away the innermost pairs, so the rest stood deeper."""
    if text.count("[") + text.count("{") <= levels:
        return False
    rest = _NO_BRACKETS.sub("", _STRINGS.sub("", text)).replace("{", "[").replace("}", "]")
    for _ in range(levels):
        shorter = rest.replace("[]", "")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return rest.count("[") > levels or "[]" in rest


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
                _refuse_unstorable(item, f"{at}.{key[:40]}")


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
