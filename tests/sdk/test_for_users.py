"""What users of the SDK put into their own tests, and what their support reads."""

import subprocess
import sys
import time

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from licet_sdk import Decision, Licet, flask, reference
from licet_sdk.decision import refusal
from licet_sdk.testing import FakeLicet
from support.properties import quick


def test_a_fake_answers_as_told_and_remembers_what_it_was_asked() -> None:
    fake = FakeLicet()
    fake.grant("mail")
    fake.grant("boxes", customer="tenant:1", value=50)
    fake.deny("mail", user="bob", reason="suspended")
    with fake as licet:
        assert isinstance(licet, Licet)
        assert licet.wait_ready()
        assert licet.allowed("mail", customer="tenant:1")
        assert licet.check("mail", customer="tenant:1", user="bob").reason == "suspended"
        assert licet.check("boxes", customer="tenant:1").value == 50
        assert licet.check("boxes", customer="tenant:2").reason == "not_licensed"
    assert fake.asked[:2] == [("mail", "tenant:1", None), ("mail", "tenant:1", "bob")]
    fake.deny("mail", reason="because")
    with pytest.raises(KeyError):
        fake.check("mail")


def test_a_fake_stands_behind_a_guard() -> None:
    fake, app = FakeLicet(), Flask("an app")
    flask.install(app, fake, who=lambda: {"customer": "tenant:1"})
    app.get("/mail")(flask.requires_feature("mail")(lambda: "in"))
    assert app.test_client().get("/mail").status_code == 403
    fake.grant("mail", customer="tenant:1")
    assert app.test_client().get("/mail").text == "in"


@quick
@given(st.none() | st.text(min_size=1), st.text(min_size=1), st.integers(0, 2**60), st.integers(0, 2**33))
def test_a_reference_tells_what_was_refused(customer: str | None, feature: str, revision: int, at: int) -> None:
    decision = Decision(False, "expired", "", None, None, None, customer, "ada", feature, revision)
    text = reference.encode(decision, at)
    assert reference.decode(text) == reference.Reference(customer, feature, revision, at)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_reference_is_short_and_a_slip_in_it_is_noticed() -> None:
    text = reference.encode(refusal("expired", "inbound-email-security", "0015g00000AbCdEAAV", None), time.time())
    assert len(text) < 80
    for at in range(0, len(text), 5):
        wrong = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(ValueError, match=r"."):
            reference.decode(wrong)
    shown = subprocess.run(
        [sys.executable, "-m", "licet_sdk.reference", text], capture_output=True, text=True, check=True
    ).stdout
    assert "0015g00000AbCdEAAV" in shown
