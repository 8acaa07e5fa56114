"""The standards, driven by their own programs: OpenFeature's clients in Python and on Node, and nginx."""

import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode

from support.issuer import AUDIENCE, Issuer
from support.processes import ADMIN, Deployment, deployed
from support.served import free_ports, nginx, nginx_lacking, served_issuer

ROOT = pathlib.Path(__file__).parents[2]
FEATURE = "inbound-email-security"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with served_issuer() as running:
        yield running


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str, issuer: Issuer) -> Iterator[Deployment]:
    """A deployment that trusts the issuer: acme bought the large SKU, poor bought nothing."""
    settings = {
        "LICET_OIDC_ISSUER": issuer.url,
        "LICET_OIDC_AUDIENCE": AUDIENCE,
        "LICET_OIDC_CUSTOMER_CLAIM": "org",
        "LICET_OIDC_CUSTOMER_SYSTEM": "tenant",
        "LICET_CATALOG": str(ROOT / "docs/examples/custom-fields.toml"),
    }
    with deployed(folder, store, settings=settings) as running:
        wire = running.wire
        wire.applied({"Id": "acme", "SKU2__c": True, "Tenant_Id__c": "4711", "EmailDomain__c": "acme.example"})
        wire.applied({"Id": "poor", "SKU1__c": False, "EmailDomain__c": "poor.example"})
        yield running


# ---- OpenFeature in Python


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[OpenFeatureClient]:
    provider = OFREPProvider(deployment.wire.url, headers_factory=lambda: {"Authorization": f"Bearer {ADMIN}"})
    api.set_provider(provider, "licet")
    yield api.get_client("licet")
    provider.session.close()
    api.clear_providers()


def test_the_python_client_reads_every_flavour(client: OpenFeatureClient) -> None:
    ada, outright = EvaluationContext("ada@acme.example"), EvaluationContext("x", {"customer": "tenant:4711"})
    for context in (ada, outright):
        assert client.get_boolean_value(FEATURE, False, context) is True
        assert client.get_integer_value("mailboxes", -1, context) == 500
        assert client.get_string_value(f"{FEATURE}:reason", "", context) == "licensed"
        decision = client.get_object_value(f"{FEATURE}:decision", {}, context)
        assert isinstance(decision, dict)
        assert (decision["allowed"], decision["customer"], decision["sku"]) == (True, "acme", "SKU2")


def test_the_python_client_gets_a_refusal_as_a_value_with_its_reason(client: OpenFeatureClient) -> None:
    told = client.get_boolean_details(FEATURE, True, EvaluationContext("bob@poor.example"))
    assert (told.value, told.error_code, told.reason, told.variant) == (False, None, "TARGETING_MATCH", "off")
    assert told.flag_metadata["reason"] == "not_licensed"
    assert told.flag_metadata["message"] == "This feature is not part of your plan."
    assert client.get_boolean_value(FEATURE, True, EvaluationContext("nobody@nowhere.example")) is False
    assert client.get_integer_value("mailboxes", 7, EvaluationContext("bob@poor.example")) == 0


def test_the_python_client_is_told_its_mistakes_by_their_codes(client: OpenFeatureClient) -> None:
    ada = EvaluationContext("ada@acme.example")
    for told, code in (
        (client.get_boolean_details("teleportation", False, ada), ErrorCode.FLAG_NOT_FOUND),
        (client.get_boolean_details("mailboxes", False, ada), ErrorCode.TYPE_MISMATCH),
        (client.get_boolean_details(FEATURE, False, EvaluationContext()), ErrorCode.TARGETING_KEY_MISSING),
        (client.get_boolean_details(FEATURE, False, EvaluationContext("a b")), ErrorCode.INVALID_CONTEXT),
    ):
        assert (told.value, told.error_code) == (False, code)


# ---- OpenFeature on Node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A copy of the example with its packages installed."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not on this machine: apt-get install nodejs npm (Node 18 or newer)")
    folder = tmp_path_factory.mktemp("node") / "example"
    shutil.copytree(ROOT / "docs/examples/ofrep-node", folder)
    shutil.copy(pathlib.Path(__file__).with_name("ofrep_client.mjs"), folder)
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline")
    command(folder, "npm", "install", *quiet)
    return folder


def command(folder: pathlib.Path, *said: str, **env: str) -> str:
    """Run a command to its good end; returns what it wrote."""
    done = subprocess.run(
        said, env={**os.environ, **env}, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_node(node: pathlib.Path, deployment: Deployment, *said: str) -> str:
    return command(node, "node", *said, AT=deployment.wire.url, KEY=ADMIN)


def test_the_node_example_runs_as_it_stands(node: pathlib.Path, deployment: Deployment) -> None:
    lines = (node / "index.mjs").read_text().splitlines()
    assert len([line for line in lines if line]) <= 15
    assert run_node(node, deployment, "index.mjs", "ada@acme.example").splitlines() == [
        "yes: This feature is included in your plan.",
        "mailboxes: 500",
    ]
    assert run_node(node, deployment, "index.mjs", "bob@poor.example").splitlines() == [
        "no: This feature is not part of your plan.",
        "mailboxes: 0",
    ]


def test_the_node_client_reads_every_flavour_and_its_mistakes(node: pathlib.Path, deployment: Deployment) -> None:
    told = json.loads(run_node(node, deployment, "ofrep_client.mjs"))
    assert {name: one["value"] for name, one in told.items() if "errorCode" not in one} == {
        "boolean": True,
        "number": 500,
        "string": "licensed",
        "object": told["object"]["value"],
        "denied": False,
        "outright": True,
    }
    assert told["object"]["value"]["customer"] == "acme"
    assert told["denied"]["flagMetadata"]["reason"] == "not_licensed"
    assert {name: one["errorCode"] for name, one in told.items() if "errorCode" in one} == {
        "unknown": "FLAG_NOT_FOUND",
        "mistyped": "TYPE_MISMATCH",
        "nobody": "TARGETING_KEY_MISSING",
        "malformed": "INVALID_CONTEXT",
    }


# ---- nginx


@pytest.fixture(scope="module")
def proxy(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The shipped configuration on this machine's ports, in front of an application that tells what reaches it."""
    missing = nginx_lacking()
    if missing is not None:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("nginx")
    front, app = free_ports(2)
    (folder / "users").write_text("ada@acme.example:{PLAIN}pass\nbob@poor.example:{PLAIN}pass\n")
    shipped = (ROOT / "deploy/nginx-forward-auth.conf").read_text()
    for ours, theirs in (
        ("127.0.0.1:8000", f"127.0.0.1:{deployment.port}"),
        ("127.0.0.1:3000", f"127.0.0.1:{app}"),
        ("listen 8080", f"listen 127.0.0.1:{front}"),
        ("YOUR-LICET-KEY", ADMIN),
        ("/etc/nginx/licet-users", str(folder / "users")),
    ):
        assert ours in shipped
        shipped = shipped.replace(ours, theirs)
    seen = "customer=$http_x_licet_customer user=$http_x_licet_user value=$http_x_licet_value key=$http_x_licet_key"
    behind = f'server {{ listen 127.0.0.1:{app}; location / {{ return 200 "{seen}\\n"; }} }}'
    url = f"http://127.0.0.1:{front}"
    with nginx(folder, f"{shipped}\n{behind}", url), httpx.Client(base_url=url) as client:
        yield client


FORGED = {"X-Licet-User": "ada@acme.example", "X-Licet-Customer": "acme", "X-Licet-Token": "x", "X-Licet-Value": "9"}


def test_nginx_lets_a_licensed_user_pass_and_tells_the_application_whose(proxy: httpx.Client, issuer: Issuer) -> None:
    token = {"Authorization": f"Bearer {issuer.token_of('ada@acme.example')}"}
    for headers in (token, token | FORGED):
        answer = proxy.get("/email/inbox", headers=headers)
        assert (answer.status_code, answer.text) == (200, "customer=acme user=ada@acme.example value=true key=\n")
    assert proxy.post("/email/inbox", headers=token, content=b"x" * 100_000).status_code == 200


def test_nginx_follows_the_claim_of_a_token(proxy: httpx.Client, issuer: Issuer) -> None:
    token = issuer.token(sub="auth0|77", org="4711")
    answer = proxy.get("/email/inbox", headers={"Authorization": f"Bearer {token}"})
    assert answer.text.startswith("customer=acme user=auth0|77 ")


def test_nginx_refuses_with_the_reason_and_a_reference(proxy: httpx.Client, issuer: Issuer) -> None:
    token = {"Authorization": f"Bearer {issuer.token_of('bob@poor.example')}"}
    for headers in (token, token | FORGED):
        answer = proxy.get("/email/inbox", headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json")
        told = answer.json()
        assert (told["detail"], told["reason"]) == ("This feature is not part of your plan.", "not_licensed")
        assert re.fullmatch(r"poor/inbound-email-security/\d+/20[\d:TZ-]+", told["reference"])


def test_nginx_sends_back_who_has_no_token_or_a_bad_one(proxy: httpx.Client, issuer: Issuer) -> None:
    expired = issuer.token_of("ada@acme.example", lasts_s=-3600)
    forged = Issuer(issuer.url).token_of("ada@acme.example")
    for headers in ({}, FORGED, {"Authorization": f"Bearer {expired}"}, {"Authorization": f"Bearer {forged}"}):
        answer = proxy.get("/email/inbox", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert proxy.get("/_licet/token").status_code == 404


def test_nginx_names_a_user_whom_it_knows_by_a_password(proxy: httpx.Client) -> None:
    ada = proxy.get("/office/", auth=("ada@acme.example", "pass"), headers=FORGED)
    assert (ada.status_code, ada.text.split()[:2]) == (200, ["customer=acme", "user=ada@acme.example"])
    bob = proxy.get("/office/", auth=("bob@poor.example", "pass"), headers=FORGED)
    assert (bob.status_code, bob.json()["reason"]) == (403, "not_licensed")
    for auth in (None, ("ada@acme.example", "wrong")):
        answer = proxy.get("/office/", auth=auth, headers=FORGED)
        assert (answer.status_code, answer.headers["www-authenticate"].partition(" ")[0]) == (401, "Basic")
