"""What a stranger with write access to the log could put there: key, value and headers, none of them a change."""

HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"licet.customer-change.v1"),
    ("ce_id", b"event"),
    ("ce_source", b"salesforce"),
    ("ce_time", b"2026-03-01T12:00:00+00:00"),
]


def but(name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [(known, value if known == name else said) for known, said in HEADERS]


def without(name: str) -> list[tuple[str, bytes]]:
    return [header for header in HEADERS if header[0] != name]


GOOD = b'{"Id":"acme"}'
ROGUES: dict[str, tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = {
    "nothing at all": (None, None, []),
    "no headers": (b"acme", GOOD, []),
    "no value": (b"acme", None, HEADERS),
    "an empty value": (b"acme", b"", HEADERS),
    "no key": (None, GOOD, HEADERS),
    "another customer's key": (b"umbrella", GOOD, HEADERS),
    "a key that is no UTF-8": (b"\xff\xfe", GOOD, HEADERS),
    "no event id": (b"acme", GOOD, without("ce_id")),
    "an empty event id": (b"acme", GOOD, but("ce_id", b"")),
    "a long event id": (b"acme", GOOD, but("ce_id", b"x" * 256)),
    "an event id with U+0000": (b"acme", GOOD, but("ce_id", b"a\x00b")),
    "an event id that is no UTF-8": (b"acme", GOOD, but("ce_id", b"\xff")),
    "no source": (b"acme", GOOD, without("ce_source")),
    "no time": (b"acme", GOOD, without("ce_time")),
    "a time without a zone": (b"acme", GOOD, but("ce_time", b"2026-03-01T12:00:00")),
    "a time that is none": (b"acme", GOOD, but("ce_time", b"yesterday")),
    "a time before all time": (b"acme", GOOD, but("ce_time", b"0001-01-01T00:00:00+10:00")),
    "another type": (b"acme", GOOD, but("ce_type", b"somebody.else.v7")),
    "a header that is no UTF-8": (b"acme", GOOD, [*HEADERS, ("traceparent", b"\xff")]),
    "a header's name with U+0000": (b"acme", b"{", [*HEADERS, ("a\x00b", b"\x00")]),
    "a replay of no place": (b"acme", GOOD, [*HEADERS, ("licet-replay-of", b"somewhere")]),
    "a repair compared nowhere": (b"acme", GOOD, [*HEADERS, ("licet-compared-at", b"yesterday")]),
    "lone surrogates": (b"acme", b'{"Id":"acme","Name":"\\ud800"}', HEADERS),
    "lone surrogates in a key": (b"acme", b'{"Id":"acme","\\udfff":1}', HEADERS),
    "U+0000": (b"acme", b'{"Id":"acme","Name":"\\u0000"}', HEADERS),
    "5,000 digits": (b"acme", b'{"Id":"acme","Extra":' + b"7" * 5000 + b"}", HEADERS),
    "100,000 brackets": (b"acme", b'{"Id":"acme","Extra":' + b"[" * 100_000 + b"}", HEADERS),
    "a number beyond numbers": (b"acme", b'{"Id":"acme","Extra":1e999}', HEADERS),
    "an array": (b"acme", b'[{"Id":"acme"}]', HEADERS),
    "a flag that is a word": (b"acme", b'{"Id":"acme","SKU1":"yes"}', HEADERS),
    "no id": (b"acme", b"{}", HEADERS),
    "an id that is an object": (b"acme", b'{"Id":{}}', HEADERS),
}
