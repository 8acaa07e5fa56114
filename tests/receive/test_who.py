"""Who may post, through the real front: signature, key, or anyone where that was said aloud."""

import base64
import hashlib
import hmac

import pytest

from support.asgi import Answer, post
from support.door import NOW, Doorway, doorway
from support.keys import new_key

BODY = b'{"Id":"a","SKU1":true}'
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
SECRETS = (("crm", SECRET),)


def signed(body: bytes = BODY, key: bytes = b"k" * 24) -> list[tuple[str, str]]:
    stamp = int(NOW.timestamp())
    digest = hmac.new(key, b"msg_1.%d." % stamp + body, hashlib.sha256).digest()
    return [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", str(stamp)),
        ("webhook-signature", "v1," + base64.b64encode(digest).decode()),
    ]


def bearer(key: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {key}")]


def refused(at: Doorway, answer: Answer, status: int = 401) -> str:
    assert answer.status == status
    assert at.log.held == []
    detail = answer.json["detail"]
    assert isinstance(detail, str)
    return detail


def test_a_signature_names_the_source_by_its_sender() -> None:
    at = doorway(open_as=None, secrets=SECRETS)
    assert post(at.app, BODY, signed()).status == 202
    assert at.log.held[0].source == "crm"


def test_a_key_names_the_source_by_its_name() -> None:
    key, stored = new_key("flow", "ingest")
    at = doorway(open_as=None, keys=[stored])
    assert post(at.app, BODY, bearer(key)).status == 202
    assert at.log.held[0].source == "flow"


def test_an_admin_key_may_post() -> None:
    key, stored = new_key("root", "admin")
    assert post(doorway(open_as=None, keys=[stored]).app, BODY, bearer(key)).status == 202


def test_without_any_credential_the_answer_says_how() -> None:
    at = doorway(open_as=None, secrets=SECRETS)
    answer = post(at.app, BODY)
    assert "Standard Webhooks" in refused(at, answer)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_anyone_may_post_where_that_was_said_aloud() -> None:
    at = doorway(open_as="the-seed")
    assert post(at.app, BODY).status == 202
    assert at.log.held[0].source == "the-seed"


def test_a_key_without_the_scope_is_forbidden() -> None:
    key, stored = new_key("reader", "read", "write", "explain")
    at = doorway(keys=[stored])
    assert "lacks the scope ingest" in refused(at, post(at.app, BODY, bearer(key)), 403)


@pytest.mark.parametrize("open_as", [None, "salesforce"])
@pytest.mark.parametrize(
    "headers",
    [
        bearer("licet_a_" + "x" * 43),
        bearer("x"),
        [("Authorization", "Basic dTpw")],
        signed(b"other bytes"),
        signed(key=b"x" * 24),
        [("webhook-signature", "")],
        [*signed(), *bearer("x")],
    ],
    ids=["unknown key", "no key", "other scheme", "other bytes", "other secret", "empty", "good signature, bad key"],
)
def test_a_wrong_credential_is_refused_even_where_none_is_needed(
    open_as: str | None, headers: list[tuple[str, str]]
) -> None:
    at = doorway(open_as=open_as, secrets=SECRETS)
    refused(at, post(at.app, BODY, headers))
    assert at.counted("licet_webhook_refused_total", code="unauthenticated") == 1


def test_a_good_key_does_not_heal_a_bad_signature() -> None:
    key, stored = new_key("flow", "ingest")
    at = doorway(keys=[stored], secrets=SECRETS)
    refused(at, post(at.app, BODY, [*bearer(key), *signed(key=b"x" * 24)]))
    assert post(at.app, BODY, [*bearer(key), *signed()]).status == 202
    assert at.log.held[0].source == "crm"


def test_a_signature_that_nobody_can_check_is_refused() -> None:
    at = doorway(open_as="salesforce")
    assert "LICET_WEBHOOK_SECRETS" in refused(at, post(at.app, BODY, signed()))


def test_the_signature_is_judged_before_the_json() -> None:
    at = doorway(open_as=None, secrets=SECRETS)
    assert refused(at, post(at.app, b"{broken", signed()))


def test_a_bad_key_is_refused_before_a_byte_of_the_body_is_read() -> None:
    def unread() -> list[bytes | object]:
        return [b"x" * 300_000, b"x" * 5_000_000]

    at = doorway()
    refused(at, post(at.app, unread(), bearer("x")))


@pytest.mark.parametrize("name", ["Authorization", "webhook-id", "webhook-signature", "webhook-timestamp"])
def test_a_header_that_decides_may_not_stand_twice(name: str) -> None:
    at = doorway(secrets=SECRETS)
    answer = post(at.app, BODY, [(name, "a"), (name, "b"), ("x-other", "1"), ("x-other", "2")])
    assert answer.status == 422
    assert answer.faults == [(f"header {name.lower()}", "it more than once", "it once")]
    assert at.log.held == []


def test_other_headers_may_stand_twice() -> None:
    assert post(doorway().app, BODY, [("x-other", "1"), ("x-other", "2")]).status == 202
