"""The simulator, as a process of its own, against a real HTTP server."""

import contextlib
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.fake_web import FakeWeb, fake_web

KEY = "a-key-of-the-tests-0001"
HOME = Path(__file__).parents[2] / "simulator"


@pytest.fixture
def web() -> Iterator[FakeWeb]:
    with fake_web() as running:
        yield running


@contextlib.contextmanager
def running(url: str, *options: str, key: str | None = None) -> Iterator[subprocess.Popen[str]]:
    environment = {"PYTHONPATH": str(HOME)}
    if key:
        environment["LICET_SIMULATOR_API_KEY"] = key
    command = [sys.executable, "-m", "licet_simulator", "--url", url, *options]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(url: str, *options: str, key: str | None = None) -> tuple[str, str]:
    with running(url, *options, key=key) as process:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    return out, err


FAST = ("--rate", "500")


def test_each_customer_is_posted_once_as_the_seed_does_and_then_changes_one_at_a_time(web: FakeWeb) -> None:
    run(web.url, *FAST, "--count", "30")
    bodies = [request.json() for request in web.posts()]
    first, later = bodies[:10], bodies[10:]
    assert len({body["Id"] for body in first}) == 10
    assert len(later) == 30
    for body in bodies:
        assert list(body) == ["AccountManager", "Id", "Name", "SalesEngineerId", "SignedTos", "SKU1", "SKU2", "SKU3"]
        assert str(uuid.UUID(body["Id"])) == body["Id"]
        assert body["Name"].endswith(".example")
    state = {body["Id"]: body for body in first}
    for body in later:
        before = state[body["Id"]]
        changed = [field for field in body if body[field] != before[field]]
        assert len(changed) == 1
        assert changed[0] in {"SignedTos", "SKU1", "SKU2", "SKU3"}
        state[body["Id"]] = body


def test_a_post_carries_no_content_type_no_key_and_no_event_id(web: FakeWeb) -> None:
    run(web.url, *FAST, "--count", "1", key=KEY)
    for request in web.posts():
        assert request.method == "POST"
        assert set(request.headers) == {"host", "accept-encoding", "content-length"}


def test_a_seed_makes_the_same_customers_and_changes_and_another_makes_others(web: FakeWeb) -> None:
    runs = []
    for options in (["--seed", "7"], ["--seed", "7", "--duplicates", "0.5"], ["--seed", "8"]):
        web.requests.clear()
        run(web.url, *FAST, "--count", "20", *options)
        runs.append([body for body, _ in itertools.groupby(request.body for request in web.posts())])
    assert runs[0] == runs[1]
    assert not {json.loads(body)["Id"] for body in runs[0]} & {json.loads(body)["Id"] for body in runs[2]}


def test_thousands_of_customers_have_names_of_their_own(web: FakeWeb) -> None:
    run(web.url, *FAST, "--count", "1", "--customers", "2000")
    bodies = [request.json() for request in web.posts()]
    assert len({body["Name"] for body in bodies}) == len({body["Id"] for body in bodies}) == 2000


def test_a_user_and_a_domain_of_each_customer_are_registered_once_licet_knows_it(web: FakeWeb) -> None:
    unknown = 4
    seen = itertools.count()
    web.rule = lambda request: 404 if request.method == "PUT" and next(seen) < unknown else 202
    run(web.url, *FAST, "--customers", "4", "--count", "1", key=KEY)
    taken = web.puts()[unknown:]
    homes = {f"/v1/customers/{request.json()['Id']}": request.json()["Name"] for request in web.posts()}
    for home, name in homes.items():
        mine = [request.path.removeprefix(home) for request in taken if request.path.startswith(home)]
        assert len(mine) == 2
        assert mine[0].startswith("/users/")
        assert mine[0].endswith(f"%40{name}")
        assert mine[1] == f"/domains/{name}"
    assert {request.headers["authorization"] for request in web.puts()} == {f"Bearer {KEY}"}


def test_a_key_that_is_refused_is_said_once_and_the_changes_go_on(web: FakeWeb) -> None:
    web.rule = lambda request: 403 if request.method == "PUT" else 202
    _, err = run(web.url, "--rate", "20", "--count", "10", key=KEY)
    assert err == "users and domains are not registered: 403 as told\n"
    assert len(web.puts()) == 1
    assert len(web.posts()) == 20


def test_without_a_key_nothing_is_registered_and_it_says_so(web: FakeWeb) -> None:
    _, err = run(web.url, *FAST, "--count", "1")
    assert web.puts() == []
    assert "no API key" in err


def test_error_answers_are_told_in_a_line_each_and_never_end_it(web: FakeWeb) -> None:
    statuses = itertools.cycle([500, 422, 202, 503, 401])
    web.rule = lambda _: next(statuses) if len(web.posts()) > 10 else 202
    _, err = run(web.url, *FAST, "--count", "50")
    assert len(web.posts()) == 60
    assert [line.rsplit(": ", 1)[1] for line in err.splitlines()[1:6]] == [
        "500 as told",
        "422 as told",
        "503 as told",
        "401 as told",
        "500 as told",
    ]


def test_a_first_post_that_the_web_cannot_take_is_sent_again(web: FakeWeb) -> None:
    web.rule = lambda _: 503 if len(web.posts()) <= 2 else 202
    run(web.url, *FAST, "--customers", "2", "--count", "1")
    ids = [request.json()["Id"] for request in web.posts()]
    assert ids[0] == ids[1] == ids[2] != ids[3]


def test_a_connection_that_breaks_is_survived_and_the_change_sent_again(web: FakeWeb) -> None:
    web.rule = lambda _: None if len(web.posts()) == 15 else 202
    _, err = run(web.url, *FAST, "--count", "10")
    posts = web.posts()
    assert len(posts) == 21
    assert posts[14].body == posts[15].body
    assert err.count("will be sent again") == 1


def test_a_body_whose_connection_always_breaks_does_not_hold_up_the_rest(web: FakeWeb) -> None:
    web.rule = lambda _: None if 10 < len(web.posts()) <= 12 else 202
    run(web.url, *FAST, "--count", "3")
    posts = web.posts()
    assert posts[10].body == posts[11].body
    assert len(posts) == 14


def test_it_waits_for_a_web_that_is_not_there_yet_and_says_so_once() -> None:
    port = free_port()
    with running(f"http://127.0.0.1:{port}", *FAST, "--count", "1") as process:
        time.sleep(0.7)
        assert process.poll() is None
        with fake_web(port) as web:
            _, err = process.communicate(timeout=20)
            assert len(web.posts()) == 11
    assert process.returncode == 0
    assert err.count("waiting for") == 1
    assert err.count("is ready") == 1


def test_it_lives_through_a_restart_of_the_web() -> None:
    port = free_port()
    with running(f"http://127.0.0.1:{port}", "--rate", "100") as process:
        for _ in range(2):
            with fake_web(port) as web:
                web.wait_for(lambda: len(web.posts()) >= 30)
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cleanly(web: FakeWeb, number: signal.Signals) -> None:
    with running(web.url, "--interval", "600") as process:
        web.wait_for(lambda: len(web.posts()) == 10)
        sent = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert time.monotonic() - sent < 2
    assert process.returncode == 0
    assert "Traceback" not in out + err


def test_a_signal_ends_it_while_it_waits_for_the_web() -> None:
    with running(f"http://127.0.0.1:{free_port()}") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting for")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_share_of_duplicates_is_sent_twice_under_one_id(web: FakeWeb) -> None:
    run(web.url, *FAST, "--count", "200", "--duplicates", "0.25")
    ids = [request.headers["webhook-id"] for request in web.posts() if "webhook-id" in request.headers]
    assert 30 <= len(set(ids)) <= 80
    assert len(ids) == 2 * len(set(ids))
    named = [request for request in web.posts() if "webhook-id" in request.headers]
    for first, second in zip(named[::2], named[1::2], strict=True):
        assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)


def test_the_share_of_bad_payloads_is_of_many_kinds_and_none_reads_as_a_change(web: FakeWeb) -> None:
    web.rule = lambda request: 202 if reads_as_change(request.body) else 422
    out, err = run(web.url, *FAST, "--count", "300", "--bad", "0.3")
    bad = [request for request in web.posts() if not reads_as_change(request.body)]
    assert 60 <= len(bad) <= 120
    kinds = {line.split("bad on purpose, ")[1].split(":")[0] for line in out.splitlines() if "bad on purpose" in line}
    assert len(kinds) == 10
    assert any(len(request.body) > 256 * 1024 for request in bad)
    assert err == "no API key: no user and no domain is registered, so ?user= will not know them\n"


def test_a_bad_payload_that_is_taken_is_told_even_when_quiet(web: FakeWeb) -> None:
    out, err = run(web.url, *FAST, "--count", "1", "--bad", "1", "--quiet")
    assert out == ""
    assert "bad on purpose" in err


def test_two_hundred_changes_a_second_are_held_on_one_connection(web: FakeWeb) -> None:
    run(web.url, "--rate", "200", "--count", "400")
    turns = web.posts()[10:]
    assert 1.8 <= turns[-1].at - turns[0].at <= 3.0
    assert len({request.connection for request in web.requests}) == 1


def test_a_connection_that_the_web_closed_while_idle_is_opened_anew(web: FakeWeb) -> None:
    web.hangs_up = True
    _, err = run(web.url, "--customers", "1", "--interval", "0.5", "--count", "3")
    assert len(web.posts()) == 4
    assert "no answer" not in err


def test_a_line_tells_each_change(web: FakeWeb) -> None:
    out, _ = run(web.url, *FAST, "--count", "5")
    lines = out.splitlines()
    for request, line in zip(web.posts(), lines, strict=True):
        body = request.json()
        assert line.startswith(f"{body['Name']} ({body['Id']}): ")
        assert line.endswith(": 202 as told")


@pytest.mark.parametrize(
    "options",
    [
        ["--url", "web"],
        ["--url", "ftp://web"],
        ["--url", "http://web", "--rate", "0"],
        ["--url", "http://web", "--bad", "2"],
        ["--url", "http://web", "--customers", "0"],
        [],
    ],
)
def test_options_that_make_no_sense_are_refused_with_the_usage(options: list[str]) -> None:
    command = [sys.executable, "-m", "licet_simulator", *options]
    done = subprocess.run(command, env={"PYTHONPATH": str(HOME)}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_it_imports_nothing_of_licet_and_nothing_beyond_the_standard_library() -> None:
    code = (
        "import sys, licet_simulator.__main__ as m; print(m.__name__, *sorted({n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(HOME)}, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()[1:])
    assert "licet" not in loaded
    assert loaded - set(sys.stdlib_module_names) == {"licet_simulator", "__main__"}


def reads_as_change(body: bytes) -> bool:
    try:
        pairs = json.loads(body.decode(), object_pairs_hook=list, parse_constant=lambda name: name)
    except ValueError:
        return False
    fields = dict(pairs)
    flags = [fields.get(name) for name in ("SignedTos", "SKU1", "SKU2", "SKU3")]
    return (
        len(body) <= 256 * 1024
        and len(fields) == len(pairs)
        and isinstance(fields.get("Id"), str)
        and all(isinstance(flag, bool) for flag in flags)
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
