"""The examples run as their readers would run them, each as a program of its own over a false service."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from licet_sdk import reference
from support.sdk_clients import eventually
from support.sdk_service import KEY, Service, customer, row

EXAMPLES = Path(__file__).parents[2] / "sdk" / "examples"
CATALOG = {"version": 1, "features": {"inbound-email-security": {"title": "", "grants": [["SKU1", True]]}}}
COMMANDS = {
    "flask": ("-m", "flask", "--app", "flask_app", "run", "--port"),
    "fastapi": ("-m", "uvicorn", "fastapi_app:app", "--port"),
    "django": ("django_app.py", "runserver", "--noreload"),
}


@contextlib.contextmanager
def running(kind: str, service: Service, log: Path) -> Iterator[str]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    env = os.environ | {"LICET_URL": service.url, "LICET_KEY": KEY}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[kind], port], cwd=EXAMPLES, env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def get(url: str, path: str, **headers: str) -> httpx.Response | None:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url + path, headers=headers, timeout=5)
    return None


@pytest.mark.parametrize("kind", COMMANDS)
def test_an_example_lets_in_who_is_licensed_and_tells_the_others_why(
    kind: str, service: Service, tmp_path: Path
) -> None:
    service.change(
        customer("acme", row(), aliases=("tenant:1",)), customer("poor", row(status="suspended")), catalog=CATALOG
    )
    service.change({"u": "ada@acme.example", "c": ["acme"]}, {"u": "bob", "c": ["poor"]})
    yes, no = ({"X-User": "ada@acme.example"}, {"X-User": "bob"})
    if kind != "fastapi":
        yes, no = {"X-Tenant": "tenant:1"}, {"X-Tenant": "poor"}
    with running(kind, service, tmp_path / "log") as url:
        try:
            eventually(lambda: (found := get(url, "/inbound", **yes)) and found.status_code == 200, 30)
        except AssertionError:
            pytest.fail((tmp_path / "log").read_text())
        told: Any = get(url, "/inbound", **yes)
        assert told.json()["filtering"] is True
        refused: Any = get(url, "/inbound", **no)
        nobody: Any = get(url, "/inbound")
        page: Any = get(url, "/inbound", **no, Accept="text/html")
    assert (refused.status_code, refused.headers["content-type"]) == (403, "application/problem+json")
    problem = refused.json()
    assert (problem["code"], problem["status"], problem["feature"]) == ("suspended", 403, "inbound-email-security")
    assert problem["detail"] == "This feature is suspended because the terms of service were withdrawn."
    found = reference.decode(problem["reference"])
    assert (found.customer, found.feature, found.revision) == ("poor", "inbound-email-security", service.revision)
    assert (nobody.status_code, page.status_code) == (403, 403)
    if kind == "django":
        assert page.headers["content-type"] == "text/plain; charset=utf-8"
        assert page.text.startswith(f"{problem['detail']}\nReference: ")
