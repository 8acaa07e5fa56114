"""Beside the road: bad posts of known senders are kept, senders are known, and neither costs a post its answer."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import pytest

from licet.domain.errors import Unavailable
from licet.receive.register import MOST_BYTES
from licet.store.customers import PostgresCustomers
from licet.store.pools import writer_pool
from licet.store.senders import PostgresSenders
from licet.store.values import DoorLetter, Sender
from support.asgi import post
from support.door import NOW, Doorway, doorway
from support.keys import new_key
from support.world import rows

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
SECRETS = (("crm", SECRET),)
KEY, STORED = new_key("flow", "ingest")
WITH_KEY = [("authorization", f"Bearer {KEY}")]


class Store:
    """Takes what is flushed, or fails."""

    def __init__(self) -> None:
        self.senders: dict[str, Sender] = {}
        self.letters: list[DoorLetter] = []
        self.away = False

    async def write(self, senders: Sequence[Sender], letters: Sequence[DoorLetter]) -> None:
        if self.away:
            raise Unavailable("the store is away")
        self.senders |= {one.source: one for one in senders}
        self.letters += letters


def door() -> Doorway:
    return doorway(open_as=None, secrets=SECRETS, keys=[STORED])


def flushed(at: Doorway, store: Store | None = None) -> Store:
    store = store or Store()
    asyncio.run(at.register.flush(store))
    return store


def signed(body: bytes, stamp: float | None = None, key: bytes = b"k" * 24) -> list[tuple[str, str]]:
    at = str(int(stamp if stamp is not None else NOW.timestamp()))
    digest = hmac.digest(key, f"msg_1.{at}.".encode() + body, hashlib.sha256)
    return [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", at),
        ("webhook-signature", f"v1,{base64.b64encode(digest).decode()}"),
    ]


@pytest.mark.parametrize("body", [b"{broken", b'{"SKU1":true}', b'{"Id":"a","Id":"b"}', b"\xff\x00", b"[1,2", b""])
def test_what_a_known_sender_posts_in_vain_is_kept_as_it_came(body: bytes) -> None:
    at = door()
    answer = post(at.app, body, WITH_KEY)
    assert answer.status == 422
    (letter,) = flushed(at).letters
    assert letter.value == body
    assert letter.reason == "unreadable"
    assert [(fault.field, fault.found, fault.expected) for fault in letter.faults] == answer.faults
    headers = dict(letter.headers)
    assert headers["ce_source"] == b"flow"
    assert headers["ce_id"]


def test_a_signed_post_keeps_its_id() -> None:
    at = door()
    assert post(at.app, b"{broken", signed(b"{broken")).status == 422
    (letter,) = flushed(at).letters
    assert (dict(letter.headers)["ce_id"], dict(letter.headers)["ce_source"]) == (b"msg_1", b"crm")


def test_of_an_array_the_bad_items_alone_are_kept() -> None:
    at = door()
    assert post(at.app, b'[{"Id":"a"},{"SKU1":1},{"Id":"b"},7]', WITH_KEY).status == 202
    assert [letter.value for letter in flushed(at).letters] == [b'{"SKU1":1}', b"7"]


def test_of_strangers_nothing_is_kept() -> None:
    """Whoever may post without a credential must not fill the store."""
    at = doorway(open_as="salesforce")
    assert post(at.app, b"{broken").status == 422
    closed = door()
    assert post(closed.app, b"{broken").status == 401
    assert post(closed.app, b"{broken", signed(b"other")).status == 401
    assert flushed(at).letters == flushed(closed).letters == []


def test_letters_wait_for_a_store_that_is_away_and_have_their_bounds() -> None:
    at = door()
    store = Store()
    store.away = True
    large = b'{"x":"' + b"y" * 250_000
    for _ in range(MOST_BYTES // len(large) + 3):
        assert post(at.app, large, WITH_KEY).status == 422
    flushed(at, store)
    store.away = False
    flushed(at, store)
    flushed(at, store)
    assert len(store.letters) == MOST_BYTES // len(large)
    assert at.counted("licet_door_letters_total", fate="dropped") == 3
    assert at.counted("licet_door_letters_total", fate="kept") == len(store.letters)


REFUSED: dict[str, tuple[list[tuple[str, str]], str]] = {
    "no credential": ([], "missing"),
    "half a signature": ([("webhook-signature", "v1,aaaa")], "incomplete"),
    "an old signature": (signed(b"{}", NOW.timestamp() - 3600), "timestamp"),
    "a signature from tomorrow": (signed(b"{}", NOW.timestamp() + 86400), "timestamp"),
    "a scheme that nobody knows": ([*signed(b"{}")[:2], ("webhook-signature", "v9,aaaa")], "malformed"),
    "another's secret": (signed(b"{}", key=b"x" * 24), "unknown"),
    "a key that is none": ([("authorization", "Bearer licet_a_b")], "key"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refused_credential_is_counted_by_its_cause(what: str) -> None:
    headers, cause = REFUSED[what]
    at = door()
    assert post(at.app, b"{}", headers).status == 401
    assert at.counted("licet_credentials_refused_total", cause=cause) == 1
    (stranger,) = flushed(at).senders.values()
    assert (stranger.source, stranger.refused_for, stranger.refused_at) == ("", cause, NOW)


def test_without_a_secret_a_signature_opens_nothing() -> None:
    """An unknown verifier that accepts everything."""
    at = doorway(open_as=None)
    assert post(at.app, b'{"Id":"a"}', signed(b'{"Id":"a"}')).status == 401
    assert at.counted("licet_credentials_refused_total", cause="no_secret") == 1


def test_a_sender_is_known_by_its_last_posts_and_what_nothing_maps() -> None:
    at = door()
    good = {"Id": "a", "SKU1": True, "Colour": "red", "Größe": 3, "bell\x07": 1, "x" * 200: 1}
    assert post(at.app, json.dumps(good).encode(), WITH_KEY).status == 202
    assert post(at.app, b"{}", WITH_KEY).status == 422
    (flow,) = flushed(at).senders.values()
    assert flow == Sender(
        source="flow",
        received_at=NOW,
        refused_at=NOW,
        refused_for="invalid_input",
        unmapped={"Colour": NOW, "Größe": NOW},
    )
    assert flushed(at).senders == {}


def test_the_store_keeps_both_within_bounds(database: str) -> None:
    letter = DoorLetter(reason="unreadable", faults=(), value=b"\x00", headers=[("ce_id", b"\x00")], at=NOW)

    async def write() -> Sequence[Sender]:
        async with writer_pool(database) as pool:
            store = PostgresSenders(pool, most=5, days=36500)
            await store.write([Sender(source="crm", received_at=NOW, unmapped={"One": NOW})], [letter] * 4)
            await store.write(
                [Sender(source="crm", refused_at=NOW, refused_for="a", unmapped={"Two": NOW})], [letter] * 3
            )
            await store.write([Sender(source="")], [])
            return await PostgresCustomers(pool).senders()

    rows(database, "UPDATE revision SET sequence = 41 RETURNING 1")
    crm, nobody = asyncio.run(write())
    assert crm == Sender(
        source="crm", received_at=NOW, refused_at=NOW, refused_for="a", unmapped={"One": NOW, "Two": NOW}
    )
    assert nobody == Sender(source="")
    kept: list[dict[str, Any]] = rows(database, "SELECT letter, sequence, origin, value FROM dead_letter ORDER BY 1")
    assert [row["letter"] for row in kept] == [3, 4, 5, 6, 7]
    assert {(row["sequence"], row["origin"], bytes(row["value"])) for row in kept} == {(41, "door", b"\x00")}
