"""deploy/nginx/webhook.conf on a real nginx: the door is open to the outside over TLS, and nothing else is."""

import http.client
import json
import pathlib
import re
import ssl
from collections.abc import Iterator

import httpx
import pytest

from licet.edge.body import READ_LIMIT_S
from licet.edge.connections import HEAD_LIMIT_S
from licet.edge.webhook import HANDLER_LIMIT_S
from licet.receive.webhook import MAX_ARRAY, MAX_OBJECT
from support import certificates
from support.processes import ADMIN, Deployment, deployed, free_port, new_database
from support.served import nginx, nginx_lacking

CONF = (pathlib.Path(__file__).parents[2] / "deploy/nginx/webhook.conf").read_text()
KEY = {"Authorization": f"Bearer {ADMIN}"}
DOOR = "/salesforce/webhook"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    for missing in (nginx_lacking(), certificates.lacking()):
        if missing is not None:
            pytest.skip(missing)
    return tmp_path_factory.mktemp("door")


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, postgres: str) -> Iterator[Deployment]:
    """A deployment whose door wants a key, as one that is open to the outside must."""
    with (
        new_database(postgres) as store,
        deployed(folder, store, settings={"LICET_WEBHOOK_AUTH": "required"}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def outside(deployment: Deployment, folder: pathlib.Path) -> Iterator[httpx.Client]:
    """What the outside reaches: the shipped file on this machine's ports, trusted by its certificate."""
    made, port, conf = certificates.made(folder, "door"), free_port(), CONF
    for ours, theirs in (
        ("127.0.0.1:8000", f"127.0.0.1:{deployment.port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/licet.crt", made.certificate),
        ("/etc/nginx/licet.key", made.key),
    ):
        assert ours in conf
        conf = conf.replace(ours, theirs)
    trusted, url = ssl.create_default_context(cafile=made.certificate), f"https://127.0.0.1:{port}"
    with nginx(folder, conf, url, trusted), httpx.Client(base_url=url, verify=trusted, timeout=15) as client:
        yield client


def raw(outside: httpx.Client) -> http.client.HTTPSConnection:
    """A connection that sends paths as they are and bodies when it likes."""
    url, port = outside.base_url, outside.base_url.port
    trusted = ssl.create_default_context()
    trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(url.host, port, timeout=15, context=trusted)


def test_a_change_goes_through_to_the_store(outside: httpx.Client, deployment: Deployment) -> None:
    answer = outside.post(DOOR, json={"Id": "acme-1", "Name": "acme.example", "SKU1": True}, headers=KEY)
    assert answer.status_code == 202, answer.text
    assert deployment.wire.settled(answer.json()["changes"][0]["event_id"])["outcome"] == "applied"


def test_the_door_itself_refuses_who_has_no_key(outside: httpx.Client) -> None:
    answer = outside.post(DOOR, json={"Id": "acme-1"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "path", ["/", "/v1/customers", "/v1/snapshot", "/docs", "/openapi.json", "/metrics", "/readyz", f"{DOOR}/", "/x"]
)
def test_nothing_else_is_there_even_with_a_key(outside: httpx.Client, path: str) -> None:
    found = outside.get(path, headers=KEY)
    assert (found.status_code, "<center>nginx</center>" in found.text) == (404, True)


@pytest.mark.parametrize("up", ["..", "%2e%2e"])
def test_a_path_that_nginx_takes_for_the_doors_does_not_reach_the_api(outside: httpx.Client, up: str) -> None:
    path = f"/v1/customers/acme-1/users/{'/'.join([up] * 4)}{DOOR}"
    connection = raw(outside)
    connection.request("PUT", path, headers=KEY)
    answer = connection.getresponse()
    assert answer.status == 405, answer.read()
    connection.close()


def test_bodies_have_the_doors_caps(outside: httpx.Client) -> None:
    large = json.dumps([{"Id": f"big-{n}", "Note": "x" * 100_000} for n in range(40)]).encode()
    assert 3_900_000 < len(large) < MAX_ARRAY
    assert outside.post(DOOR, content=large, headers=KEY).status_code == 202
    beyond = outside.post(DOOR, content=b" " * MAX_OBJECT + b'{"Id":"acme-1"}', headers=KEY)
    assert (beyond.status_code, beyond.json()["code"]) == (413, "payload_too_large")
    refused = outside.post(DOOR, content=b"[" + b" " * MAX_ARRAY, headers=KEY)
    assert (refused.status_code, "nginx" in refused.text) == (413, True)


def test_who_sends_no_body_is_let_go_after_two_seconds(outside: httpx.Client) -> None:
    connection = raw(outside)
    connection.putrequest("POST", DOOR)
    connection.putheader("Content-Length", "100")
    connection.endheaders()
    with pytest.raises(http.client.RemoteDisconnected):  # nginx closes without a word
        connection.getresponse()
    connection.close()


def test_the_figures_of_the_file_are_the_doors() -> None:
    told = dict(re.findall(r"^\s+(client_\w+|proxy_\w+_timeout) (\d+)[smk]; *(?:#.*)?$", CONF, re.MULTILINE))
    assert int(told["client_header_timeout"]) == HEAD_LIMIT_S
    assert int(told["client_body_timeout"]) == READ_LIMIT_S
    assert int(told["client_max_body_size"]) * 1024 * 1024 == MAX_ARRAY
    assert int(told["client_body_buffer_size"]) * 1024 == MAX_OBJECT
    assert int(told["proxy_read_timeout"]) > HANDLER_LIMIT_S
