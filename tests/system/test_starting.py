"""Starting and ending: what is wrong is said at once and in words, and what was begun is finished."""

import json
import pathlib
import signal
import socket
import time
from collections.abc import Iterator

import psycopg
import pytest

from support.processes import (
    Deployment,
    Process,
    Wire,
    deployed,
    eventually,
    free_port,
    licet,
    new_database,
    worker_ready,
)
from system.payloads import EMAIL, customer

SECRET = "correct-horse"  # noqa: S105 a password that must not be shown


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """The address of a database with nothing in it."""
    with new_database(postgres) as url:
        yield url


def test_all_wrong_settings_are_named_at_once(folder: pathlib.Path) -> None:
    env = {
        "LICET_PORT": "eighty",
        "LICET_WEBHOOK_AUTH": "maybe",
        "LICET_BOOTSTRAP_API_KEY": SECRET,
        "LICET_SALESFORCE_ORG_ID": "ours",
        "LICET_DATABASE_ULR": "postgresql://db/licet",
    }
    done = licet("web", env=env, folder=folder)
    assert done.code == 2
    said = done.err.splitlines()
    assert len(said) == 5, done
    for name in env:
        assert any(name in line for line in said), name
    assert 'LICET_PORT: found "eighty", expected a whole number from 0 to 65535' in done.err
    assert "LICET_DATABASE_ULR: no such setting; did you mean LICET_DATABASE_URL?" in done.err
    assert SECRET not in done.err
    assert done.out == ""


def test_a_database_that_was_not_migrated_is_refused_with_the_command_that_helps(
    folder: pathlib.Path, empty: str
) -> None:
    done = licet("web", env={"LICET_DATABASE_URL": empty}, folder=folder)
    assert done.code == 2
    assert "licet migrate" in done.err
    assert "Traceback" not in done.err


def test_a_wrong_address_is_named_without_its_password(folder: pathlib.Path) -> None:
    port = free_port()
    url = f"postgresql://licet:{SECRET}@127.0.0.1:{port}/licet"
    done = licet("web", env={"LICET_DATABASE_URL": url}, folder=folder)
    assert done.code == 2
    assert f"PostgreSQL at 127.0.0.1:{port}, database licet" in done.err
    assert SECRET not in done.err
    assert "Traceback" not in done.err


def test_a_worker_waits_for_its_database_and_then_says_what_it_waited_for(folder: pathlib.Path, empty: str) -> None:
    env = {"LICET_DATABASE_URL": empty, "LICET_METRICS_PORT": "0"}
    done = licet("worker", "--wait", "0.5", env=env, folder=folder)
    assert done.code == 2
    assert "waiting" in done.err
    assert "licet migrate" in done.err.splitlines()[-1]
    with Process(folder, "worker", env=env) as worker:
        worker.wait_for("waiting")
        assert licet("migrate", env=env, folder=folder).code == 0
        worker_ready(worker)
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0, worker


def test_a_worker_that_waits_can_be_ended(folder: pathlib.Path) -> None:
    env = {"LICET_DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/licet"}
    with Process(folder, "worker", env=env) as worker:
        worker.wait_for("waiting")
        worker.signal(signal.SIGTERM)
        assert worker.ended(5) == 0, worker


def test_an_address_in_use_is_named(folder: pathlib.Path, store: str) -> None:
    assert licet("migrate", env={"LICET_DATABASE_URL": store}).code == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = licet("web", env={"LICET_DATABASE_URL": store, "LICET_PORT": port}, folder=folder)
    assert done.code == 2, done
    assert f"cannot listen on 127.0.0.1:{port}" in done.err


def half_sent(port: int, body: bytes) -> socket.socket:
    """Post a body of which the last byte is still missing."""
    line = socket.create_connection(("127.0.0.1", port), timeout=10)
    line.sendall(b"POST /salesforce/webhook HTTP/1.1\r\nHost: licet\r\nContent-Length: %d\r\n\r\n" % len(body))
    line.sendall(body[:-1])
    return line


def test_a_web_that_is_told_to_end_answers_what_is_in_flight(deployment: Deployment) -> None:
    body = json.dumps(acme := customer(SKU1=True)).encode()
    with half_sent(deployment.port, body) as line:
        time.sleep(0.2)  # the request reaches the process
        deployment.web.signal(signal.SIGTERM)
        eventually("it takes no new connection", lambda: refuses(deployment.port) or None, 5)
        line.sendall(body[-1:])
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 202 ")
    receipt = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert deployment.web.ended() == 0, deployment.web
    assert "stopped" in deployment.web.err.splitlines()[-1]

    again = Process(deployment.folder, "web", env=deployment.env)
    with again, Wire(deployment.wire.url) as wire:
        again.wait_for("started")
        assert wire.settled(receipt["changes"][0]["event_id"])["outcome"] == "applied"
        assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_worker_that_is_told_to_end_finishes_its_batch(folder: pathlib.Path, empty: str) -> None:
    with deployed(folder, empty) as deployment, psycopg.connect(empty) as other:
        wire, (worker,) = deployment.wire, deployment.workers
        wire.applied(customer())
        other.execute("SELECT FROM revision FOR UPDATE")  # the worker must wait for the one write lock
        event_ids = wire.accepted([customer(SKU1=True) for _ in range(20)])
        time.sleep(0.3)  # the batch is begun
        worker.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert worker.running
        other.commit()
        assert worker.ended() == 0, worker
        for event_id in event_ids:
            assert wire.settled(event_id, 1)["outcome"] == "applied"
