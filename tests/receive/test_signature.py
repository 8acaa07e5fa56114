"""Standard Webhooks: what the sender's secret signed is taken, everything else is refused cleanly."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licet.domain.errors import ConfigurationError, Unauthenticated
from licet.receive.signature import MAX_SIGNATURES, Signatures
from support.properties import quick

NOW_S = 1_700_000_000
BODY = b'{"Id":"a"}'
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


def sign(secret: str, event: bytes = b"msg_1", stamp: int = NOW_S, body: bytes = BODY) -> bytes:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join((event, str(stamp).encode(), body))
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def headers(signature: bytes, event: bytes = b"msg_1", stamp: bytes = b"%d" % NOW_S) -> dict[bytes, bytes]:
    return {b"webhook-id": event, b"webhook-timestamp": stamp, b"webhook-signature": signature}


def sender(
    sent: dict[bytes, bytes], body: bytes = BODY, secrets: tuple[tuple[str, str], ...] = (("crm", SECRET),)
) -> str:
    return Signatures(secrets, 300).sender_of(sent, body, NOW_S)


def test_the_schemes_own_example_is_taken() -> None:
    example = Signatures((("crm", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),), 300)
    sent = {
        b"webhook-id": b"msg_p5jXN8AQM9LWM0D4loKWxJek",
        b"webhook-timestamp": b"1614265330",
        b"webhook-signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert example.sender_of(sent, b'{"test": 2432232314}', 1614265330) == "crm"


def test_the_sender_is_named_by_whichever_of_its_secrets_signed() -> None:
    secrets = (("crm", SECRET), ("erp", OTHER), ("crm", "whsec_" + base64.b64encode(b"n" * 24).decode()))
    assert sender(headers(sign(SECRET)), secrets=secrets) == "crm"
    assert sender(headers(sign(OTHER)), secrets=secrets) == "erp"
    assert sender(headers(sign(secrets[2][1])), secrets=secrets) == "crm"


def test_one_good_signature_among_others_is_enough() -> None:
    assert sender(headers(b"v1a,xyz " + sign(OTHER) + b" v1,@@ " + sign(SECRET))) == "crm"


@pytest.mark.parametrize("off", [-300, 300])
def test_a_timestamp_at_the_tolerance_is_taken(off: int) -> None:
    stamp = NOW_S + off
    assert sender(headers(sign(SECRET, stamp=stamp), stamp=b"%d" % stamp)) == "crm"


@pytest.mark.parametrize("off", [-301, 301])
def test_a_replay_of_yesterday_is_refused(off: int) -> None:
    stamp = NOW_S + off
    with pytest.raises(Unauthenticated, match="300 s of now"):
        sender(headers(sign(SECRET, stamp=stamp), stamp=b"%d" % stamp))


@pytest.mark.parametrize(
    "stamp",
    [
        b"",
        b"soon",
        b"-1",
        b"+1700000000",
        b"1.7e9",
        b"1_700_000_000",
        b" 1700000000",
        b"9" * 400,
        "\u0661\u0667".encode(),
    ],
)
def test_a_timestamp_is_digits(stamp: bytes) -> None:
    with pytest.raises(Unauthenticated):
        sender(headers(sign(SECRET), stamp=stamp))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"v1",
        b"v1,",
        b"v1,!!",
        b"v1,AAAA",
        b"v2," + sign(SECRET)[3:],
        sign(SECRET)[3:],
        sign(SECRET)[:-2],
        sign(OTHER),
        sign(SECRET, event=b"msg_2"),
        sign(SECRET, stamp=NOW_S - 1),
        sign(SECRET, body=BODY + b" "),
        b" ".join([sign(SECRET)] * (MAX_SIGNATURES + 1)),
    ],
)
def test_a_signature_of_anything_else_is_refused(signature: bytes) -> None:
    with pytest.raises(Unauthenticated):
        sender(headers(signature))


@pytest.mark.parametrize("missing", [b"webhook-id", b"webhook-timestamp"])
def test_a_signature_without_what_it_covers_is_refused(missing: bytes) -> None:
    sent = headers(sign(SECRET))
    del sent[missing]
    with pytest.raises(Unauthenticated, match="webhook-id and webhook-timestamp"):
        sender(sent)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_")])
def test_a_secret_that_cannot_protect_stops_the_start(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Signatures((("crm", secret),), 300)
    assert caught.value.detail == (
        "LICET_WEBHOOK_SECRETS: the secret of crm is not whsec_ and base64 of at least 16 bytes"
    )


@quick
@given(
    st.binary(max_size=60),
    st.binary(max_size=20),
    st.binary(max_size=90) | st.binary(max_size=60).map(b"v1,".__add__),
)
def test_any_headers_are_refused_cleanly(event: bytes, stamp: bytes, signature: bytes) -> None:
    with pytest.raises(Unauthenticated):
        sender(headers(signature, event, stamp))


@quick
@given(st.binary(), st.integers(0, 7), st.data())
def test_no_bit_of_the_body_can_change(body: bytes, bit: int, data: st.DataObject) -> None:
    assert sender(headers(sign(SECRET, body=body)), body) == "crm"
    if body:
        at = data.draw(st.integers(0, len(body) - 1))
        changed = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
        with pytest.raises(Unauthenticated):
            sender(headers(sign(SECRET, body=body)), changed)
