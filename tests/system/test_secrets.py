"""A deployment whose every secret is set, met with errors of every kind: no secret leaves it by any way."""

import base64
import pathlib
import signal
from collections.abc import Iterator

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from support.processes import Deployment, deployed, eventually, free_port, licet
from system.payloads import customer

pytestmark = pytest.mark.xdist_group("system-secrets")
SECRETS = {
    "webhook": base64.b64encode(b"a webhook secret of 32 bytes, say").decode(),
    "kafka": "kafkas-password-of-the-tests",
    "database": "the-databases-password-of-the-tests",
    "key": "a-bootstrap-key-of-the-secret-tests",
}


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str) -> Iterator[Deployment]:
    """A web alone, with a Kafka that is not there."""
    settings = {
        "LICET_WEBHOOK_SECRETS": f"crm=whsec_{SECRETS['webhook']}",
        "LICET_WEBHOOK_AUTH": "required",
        "LICET_KAFKA_BROKERS": f"127.0.0.1:{free_port()}",
        "LICET_KAFKA_CONFIG": "security.protocol=SASL_SSL,sasl.mechanism=PLAIN,sasl.username=licet,"
        f"sasl.password={SECRETS['kafka']}",
        "LICET_BOOTSTRAP_API_KEY": SECRETS["key"],
        "LICET_LOG_LEVEL": "debug",
    }
    url = make_conninfo(store, password=SECRETS["database"])
    with deployed(folder, url, workers=0, settings=settings) as running:
        yield running


def leaked(text: str) -> list[str]:
    return [what for what, secret in SECRETS.items() if secret in text]


def test_no_secret_leaves_by_an_answer_a_metric_or_a_log_line(deployment: Deployment) -> None:
    wire = deployment.wire
    key = {"authorization": f"Bearer {SECRETS['key']}"}
    said: list[httpx.Response] = [
        wire.post(b"{}", **headers)
        for headers in (
            {},
            {"authorization": f"Bearer {SECRETS['key']}x"},
            {"authorization": f"Basic {SECRETS['key']}"},
            {"webhook-signature": f"v1,{SECRETS['webhook']}"},
            {"webhook-signature": f"whsec_{SECRETS['webhook']}", "webhook-id": "a", "webhook-timestamp": "1"},
            key,
            key | {"content-encoding": "gzip"},
        )
    ]
    taken = wire.post(customer(), **key)
    assert taken.json()["changes"][0]["queued_in"] == "spool"
    said += [taken]
    pages = (
        "/",
        "/docs",
        "/openapi.json",
        "/readyz",
        "/v1/sources",
        "/v1/customers/none",
        "/v1/check?feature=x",
        "/none",
    )
    said += [wire.ask("GET", path, headers=key, key=None) for path in pages]
    eventually("the refused are counted", lambda: "credentials_refused_total{" in metrics(deployment) or None)
    for text in (*(f"{answer.headers}{answer.text}" for answer in said), metrics(deployment), deployment.web.err):
        assert leaked(text) == []
    assert "spool_opened" in deployment.web.err
    assert deployment.web.out == ""


def metrics(deployment: Deployment) -> str:
    return deployment.wire.ask("GET", "/metrics", key=None).text


def test_no_secret_is_listed_or_told_by_a_command_that_fails(deployment: Deployment) -> None:
    listed = licet("settings", env=deployment.env)
    assert listed.code == 0
    assert listed.out.count("(set)") == 4
    broken = [
        {"LICET_DATABASE_URL": f"postgresql://licet:{SECRETS['database']}@127.0.0.1:{free_port()}/licet"},
        {"LICET_DATABASE_URL": f"postgresql://licet:{SECRETS['database']}@127.0.0.1:port/licet"},
        {"LICET_KAFKA_CONFIG": f"security.protocol={SECRETS['kafka']}"},
        {"LICET_KAFKA_CONFIG": f"sasl.password={SECRETS['kafka']},no.such.thing=1"},
        {"LICET_WEBHOOK_SECRETS": SECRETS["webhook"]},
        {"LICET_WEBHOOK_SECRETS": "whsec_" + SECRETS["webhook"][:8]},
        {"LICET_BOOTSTRAP_API_KEY": SECRETS["key"] + " "},
    ]
    for env in broken:
        failed = licet("web", env=deployment.env | env)
        assert failed.code == 2, failed
        assert next(iter(env)) in failed.err or "PostgreSQL at" in failed.err
        assert "Traceback" not in failed.err
        assert leaked(failed.err + failed.out + listed.out) == []
        assert SECRETS["webhook"][:8] not in failed.err


def test_a_web_on_a_kafka_that_never_answers_still_ends_well(deployment: Deployment) -> None:
    deployment.web.signal(signal.SIGTERM)
    assert deployment.web.ended(10) == 0, deployment.web
    assert leaked(deployment.web.err) == []
