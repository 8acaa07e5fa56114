"""JSON is read strictly, alike by every reader, and in bounded time."""

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.errors import Fault, InvalidInput
from licet.domain.payload import MAX_DEPTH, _plain, hash_of, is_array, read_array, read_object
from support.properties import quick

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, VALUE, max_size=5)
# Pieces of JSON put together at random: mostly broken, sometimes not, often nearly.
SHRED = st.sampled_from(
    [
        *(mark.encode() for mark in '{}[]":, \n'),
        *(b'"a"', b'"a":', b'"b":1', b"\\", b"\\u0000", b'"\\ud800"', b"\xff", b"\x00", "é".encode()),
        *(b"-0", b"01", b"1", b"1.5", b"1e999", b"9" * 30, b"NaN", b"-Infinity", b"true", b"null"),
    ]
)
SHREDS = st.lists(SHRED, max_size=14).map(b"".join) | st.binary(max_size=40)


def attempt(raw: bytes) -> dict[str, Any] | tuple[Fault, ...]:
    try:
        return read_object(raw)
    except InvalidInput as error:
        return error.faults


def fault(raw: bytes) -> tuple[str, str, str]:
    with pytest.raises(InvalidInput) as caught:
        read_object(raw)
    (one,) = caught.value.faults
    return one.field, one.found, one.expected


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"", "nothing"),
        (b"   ", "Expecting value at character 3"),
        (b"[1]", "an array of 1"),
        (b'"text"', '"text"'),
        (b'{"a":1', "Expecting ',' delimiter at character 6"),
        (b'{"a":1} x', "Extra data at character 8"),
        (b'{"a":1,"a":2}', 'the key "a" twice'),
        (b'{"a":1,"\\u0061":2}', 'the key "a" twice'),
        (b'{"x":{"a":"1","a":"2"}}', 'the key "a" twice'),
        (b'{"\\ud800":1,"\\ud800":2}', 'the key "\\ud800" twice'),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":[-Infinity]}', "-Infinity"),
        (b'{"a":1e999}', "1e999, beyond what a number can hold"),
        (b'{"a":' + b"9" * 5000 + b"}", "a number too long to read"),
        (b'{"a":"\xff"}', "a byte that is no UTF-8 at 6"),
        (b'{"a":"\xed\xa0\x80"}', "a byte that is no UTF-8 at 6"),
        (b'\xef\xbb\xbf{"a":1}', "Expecting value at character 0"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(raw: bytes, found: str) -> None:
    field, said, expected = fault(raw)
    assert (field, said) == ("body", found)
    assert expected


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"a":"x\\u0000y"}', "body.a"),
        (b'{"a":["ok","\\ud800"]}', "body.a[1]"),
        (b'{"a":{"b":"\\udfff\\ud800"}}', "body.a.b"),
        (b'{"\\u0000":1}', "body"),
    ],
)
def test_what_postgresql_or_utf8_cannot_keep_is_refused_where_it_stands(raw: bytes, field: str) -> None:
    assert fault(raw) == (field, "U+0000 or a lone surrogate", "characters that UTF-8 can keep")


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert read_object(b'{"a":"\\ud83d\\ude00"}') == {"a": "😀"}


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_depth_32_is_read_and_33_is_not(opened: str, closed: str) -> None:
    def nested(levels: int) -> bytes:
        inner = levels - 1
        return ('{"a":' + opened * inner + "1" + closed * inner + "}").encode()

    assert read_object(nested(MAX_DEPTH))
    assert fault(nested(MAX_DEPTH + 1)) == ("body", "deeper nesting", "at most 32 levels")
    assert fault(nested(100_000))[1] == "deeper nesting"


def test_brackets_inside_strings_and_beside_each_other_are_no_depth() -> None:
    wide = {"text": "[" * 1000 + '\\"{', "list": [[]] * 1000}
    assert read_object(json.dumps(wide).encode()) == wide


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":' + b"[" * 40 + b'"' + b'\\"' * 120_000,
        b'{"a":' + b"[" * 120_000,
        b'{"a":[' + b"[]," * 80_000 + b"[]]}",
        b'{"a":["' + b"[" * 250_000,
        b'{"a":"' + b"\\" * 250_000,
    ],
)
def test_no_body_of_the_cap_costs_more_than_a_blink(raw: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(InvalidInput):
        read_object(raw)
    assert time.process_time() - began < 1.0


@quick
@given(OBJECT)
def test_every_object_that_utf8_can_keep_comes_back(value: dict[str, object]) -> None:
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@quick
@given(SHREDS)
def test_any_bytes_are_read_or_refused_with_faults(raw: bytes) -> None:
    found = attempt(raw)
    msgspec.json.encode(found).decode()
    if isinstance(found, dict):
        assert len(hash_of(found)) == 16
    else:
        assert found


PAIRS = st.lists(st.tuples(st.sampled_from("ab") | TEXT, SCALAR), max_size=4)


def spelled(pairs: Sequence[tuple[str, object]]) -> bytes:
    """Spell an object whose keys may stand twice."""
    parts = (f"{json.dumps(key, ensure_ascii=False)}:{json.dumps(value, ensure_ascii=False)}" for key, value in pairs)
    return ("{" + ",".join(parts) + "}").encode()


@quick
@given(SHREDS.map(lambda raw: b"{" + raw + b"}") | PAIRS.map(spelled))
def test_the_fast_reader_never_says_other_than_the_strict_one(raw: bytes) -> None:
    plain = _plain(raw)
    if plain is not None:
        # A space between brackets sends the same object past the fast reader.
        strict = read_object(b'{"nested":{},' + raw.lstrip()[1:] if plain else raw)
        strict.pop("nested", None)
        assert json.dumps(strict) == json.dumps(plain)


def test_the_hash_knows_content_and_not_spelling() -> None:
    one, other = read_object(b'{"a":1,"b":"\\u0041"}'), read_object(b' {"b":"A" , "a":1}')
    assert hash_of(one) == hash_of(other)
    assert hash_of(one) != hash_of({"a": 1, "b": "B"})
    assert hash_of({"a": 1}) != hash_of({"a": True})


@pytest.mark.parametrize(
    ("raw", "array"), [(b"[", True), (b" \t\r\n[", True), (b"{[", False), (b"", False), (b"\x00[", False)]
)
def test_an_array_is_known_by_its_first_byte(raw: bytes, array: bool) -> None:
    assert is_array(raw) is array


@quick
@given(st.lists(VALUE, min_size=1, max_size=5), st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", " : ")]))
def test_an_array_splits_into_the_exact_bytes_of_its_items(values: list[object], separators: tuple[str, str]) -> None:
    items = [json.dumps(value, separators=separators, ensure_ascii=False).encode() for value in values]
    read = list(read_array(b" [ " + b" , ".join(items) + b" ] "))
    assert [raw for raw, _ in read] == items
    for value, (_, found) in zip(values, read, strict=True):
        assert found == value if isinstance(value, dict) else isinstance(found, InvalidInput)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (b'{"a":1,"a":2}', 'the key "a" twice'),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":"\\ud800"}', "U+0000 or a lone surrogate"),
        (b'{"a":"\x01"}', "Invalid control character at at character 15"),
        (b'{"a":' + b"9" * 5000 + b"}", "a number too long to read"),
        (b"[" * 33 + b"]" * 33, "deeper nesting"),
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "deeper nesting"),
        (b"null", "null"),
    ],
)
def test_one_bad_item_does_not_spoil_its_neighbours(item: bytes, found: str) -> None:
    (_, first), (raw, bad), (_, last) = read_array(b'[{"n":1},' + item + b',{"n":2}]')
    assert (first, last) == ({"n": 1}, {"n": 2})
    assert raw == item
    assert isinstance(bad, InvalidInput)
    assert bad.faults[0].found == found


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"[", b"[1", b"[1,", b"[1,]", b"[1 2]", b"[1]]", b"[1] x", b"[{]", b"{}", b"", b"[" * 100_000, b'["\xff"]'],
)
def test_a_broken_array_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        list(read_array(raw))
    assert caught.value.faults


@quick
@given(SHREDS)
def test_any_bytes_in_an_array_are_read_or_refused(raw: bytes) -> None:
    read: list[tuple[bytes, Any]] = []
    with contextlib.suppress(InvalidInput):
        read = list(read_array(b"[" + raw + b"]"))
    for item, found in read:
        alone = attempt(item)
        assert alone == found if isinstance(found, dict) else isinstance(alone, tuple)
