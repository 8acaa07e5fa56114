"""A closed door: who signs or has a key may post, for one organisation; keys come and go without a restart."""

import base64
import hashlib
import hmac
import json
import pathlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.processes import Deployment, Wire, deployed, eventually
from system.payloads import EMAIL, customer

KEYS = {"salesforce": b"0123456789abcdef0123456789abcdef", "sandbox": b"fedcba9876543210fedcba9876543210"}
OURS, OTHER = "00D5g000004aBcDEAU", "00D5g000004aBcEEAU"
KINDS = ("ingest", "read")


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str) -> Iterator[Deployment]:
    """A web with two secrets and one organisation. No worker: what matters is who gets a 202."""
    secrets = ",".join(f"{name}=whsec_{base64.b64encode(key).decode()}" for name, key in KEYS.items())
    settings = {
        "LICET_WEBHOOK_AUTH": "required",
        "LICET_WEBHOOK_SECRETS": secrets,
        "LICET_SALESFORCE_ORG_ID": OURS,
    }
    with deployed(folder, store, workers=0, settings=settings) as running:
        yield running


@pytest.fixture
def wire(deployment: Deployment) -> Wire:
    return deployment.wire


@pytest.fixture(scope="module")
def keys(deployment: Deployment) -> dict[str, str]:
    """A key of each scope, made while the web runs."""
    made = {}
    for kind in KINDS:
        done = deployment.command("keys", "create", f"{kind}-of-the-tests", "--scope", kind)
        assert done.code == 0, done
        made[kind] = done.out.strip()
        assert made[kind].startswith("licet_")
    return made


def ours(**fields: Any) -> bytes:
    return json.dumps(customer(OrganizationId=OURS, **fields)).encode()


def signed(body: bytes, sender: str = "salesforce", at: float | None = None, name: str | None = None) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    stamp = str(int(time.time() if at is None else at))
    name = name or f"msg_{uuid.uuid4().hex}"
    digest = hmac.digest(KEYS[sender], f"{name}.{stamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_a_post_without_a_credential_is_refused(wire: Wire) -> None:
    answer = wire.post(ours())
    assert refusal(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("sender", list(KEYS))
def test_a_signature_by_any_of_the_secrets_opens_the_door(wire: Wire, sender: str) -> None:
    body = ours()
    headers = signed(body, sender)
    answer = wire.post(body, **headers)
    assert answer.status_code == 202, answer.text
    assert answer.json()["changes"][0]["event_id"] == headers["webhook-id"]


def test_a_signature_that_is_not_right_is_refused(wire: Wire) -> None:
    body = ours()
    good = signed(body)
    hour_ago = signed(body, at=time.time() - 3600)
    wrong = {
        "other bytes": (body.replace(b"acme", b"evil"), good),
        "another id": (body, good | {"webhook-id": "msg_other"}),
        "an hour old": (body, hour_ago),
        "another secret": (body, good | {"webhook-signature": "v1," + base64.b64encode(b"x" * 32).decode()}),
        "no signature in it": (body, good | {"webhook-signature": "v1,"}),
        "no timestamp": (body, {name: value for name, value in good.items() if name != "webhook-timestamp"}),
    }
    found = {what: refusal(wire.post(sent, **headers)) for what, (sent, headers) in wrong.items()}
    assert found == dict.fromkeys(wrong, (401, "unauthenticated"))


def test_a_key_needs_the_scope_ingest_to_post_and_read_to_ask(wire: Wire, keys: dict[str, str]) -> None:
    posted = {kind: wire.post(ours(), authorization=f"Bearer {key}") for kind, key in keys.items()}
    assert posted["ingest"].status_code == 202, posted["ingest"].text
    assert refusal(posted["read"]) == (403, "forbidden")
    asked = {kind: wire.ask("GET", f"/v1/check?customer=a&feature={EMAIL}", key=key) for kind, key in keys.items()}
    assert asked["read"].status_code == 200
    assert refusal(asked["ingest"]) == (403, "forbidden")
    assert refusal(wire.ask("GET", "/v1/customers", key=keys["ingest"])) == (403, "forbidden")
    assert refusal(wire.ask("PUT", "/v1/customers/a/users/b", key=keys["read"])) == (403, "forbidden")


def test_changes_of_another_organisation_are_refused(wire: Wire) -> None:
    for body in (customer(OrganizationId=OTHER), customer(), customer(OrganizationId="no id")):
        sent = json.dumps(body).encode()
        answer = wire.post(sent, **signed(sent))
        assert refusal(answer) == (422, "invalid_input")
        assert [fault["field"] for fault in answer.json()["faults"]] == ["OrganizationId"]
    short = json.dumps(customer(OrganizationId=OURS[:15])).encode()
    assert wire.post(short, **signed(short)).status_code == 202


def test_a_key_works_at_once_shows_its_last_use_and_ends_within_two_seconds(deployment: Deployment) -> None:
    wire = deployment.wire
    made = deployment.command("keys", "create", "short-lived", "--scope", "read", "--scope", "explain")
    key = made.out.strip()
    key_id = key.split("_")[1]
    assert key_id in made.err

    def status() -> int:
        return wire.ask("GET", "/v1/customers", key=key).status_code

    assert status() == 200
    used = f"SELECT last_used_at FROM api_key WHERE key_id = '{key_id}' AND last_used_at IS NOT NULL"
    eventually("its last use is written", lambda: deployment.rows(used) or None)
    listed = deployment.command("keys", "list")
    (line,) = [line for line in listed.out.splitlines() if key_id in line]
    (((last_used),),) = deployment.rows(used)
    assert "short-lived" in line
    assert "explain read" in line
    assert last_used.strftime("%H:%M:%S") in line
    assert key.split("_")[2] not in listed.out

    assert deployment.command("keys", "revoke", key_id).code == 0
    eventually("the key is refused", lambda: status() == 401 or None, 2)
    refused = wire.ask("GET", "/v1/customers", key=key).json()
    assert "was revoked at" in refused["detail"]
