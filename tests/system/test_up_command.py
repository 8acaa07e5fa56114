"""``licet up``: one command, from nothing to an answer, and gone again without a trace."""

import contextlib
import json
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from support.processes import LICET, Process, Wire, commands_with, eventually, free_port, licet
from support.terminal import Terminal
from system.payloads import EMAIL, customer

QUEUE = "PostgreSQL; Kafka when LICET_KAFKA_BROKERS is set"


class Up:
    """A ``licet up`` with its folder, its port and what it said when it was ready."""

    def __init__(self, data: pathlib.Path, *args: str) -> None:
        self.port = free_port()
        self.data = data
        self.process = Process(data.parent, "up", "--port", str(self.port), "--data", str(data), *args)

    def ready(self) -> Wire:
        self.process.wait_for(r"(?m)^end: ")
        return Wire(f"http://127.0.0.1:{self.port}", self.said("API key"))

    def said(self, name: str) -> str:
        """One of the lines of the greeting."""
        found = re.search(rf"(?m)^{name}: (.*)$", self.process.out)
        assert found, self.process
        return found[1]

    def left_behind(self) -> list[str]:
        """What still runs of it: its database has the folder in its command, its simulator the port."""
        return [*commands_with(str(self.data)), *commands_with(f"localhost:{self.port}")]


@contextlib.contextmanager
def started(data: pathlib.Path, *args: str) -> Iterator[tuple[Up, Wire]]:
    up = Up(data, *args)
    with up.process, up.ready() as wire:
        yield up, wire


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Wire]]:
    """A first start, with a simulated Salesforce, its output going to a file."""
    with started(tmp_path_factory.mktemp("up") / "data", "--simulate") as running:
        yield running


def run_line(line: str) -> Any:
    """Run a curl line as a person would who copied it; where there is no curl, do what the line says."""
    if shutil.which("curl"):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True)
        return json.loads(done.stdout)
    words = shlex.split(line)
    body = words[words.index("-d") + 1] if "-d" in words else None
    headers = dict([words[words.index("-H") + 1].split(": ", 1)]) if "-H" in words else {}
    return httpx.request("POST" if body else "GET", words[-1], content=body, headers=headers).json()


def test_the_first_start_says_in_plain_lines_what_is_where(first: tuple[Up, Wire]) -> None:
    up, wire = first
    assert "\x1b" not in up.process.out
    assert f"http://localhost:{up.port}" in up.said("Licet")
    assert f"POST http://localhost:{up.port}/salesforce/webhook" in up.said("webhook")
    assert up.said("queue") == QUEUE
    assert up.said("end").startswith("Ctrl-C")
    assert (up.data / "api-key").stat().st_mode & 0o077 == 0
    for path in ("/", "/docs", "/livez", "/readyz"):
        assert wire.ask("GET", path, key=None).status_code == 200
    assert "LICET_WEBHOOK_AUTH=none" in up.process.err  # the open door is said aloud


def test_the_lines_to_try_work_when_they_are_copied_out(first: tuple[Up, Wire]) -> None:
    up, wire = first
    receipt = run_line(up.said("post"))
    wire.settled(receipt["changes"][0]["event_id"])
    decision = run_line(up.said("ask"))
    assert (decision["allowed"], decision["reason"], decision["feature"]) == (True, "licensed", EMAIL)


def test_other_commands_find_it_by_its_line_for_them(first: tuple[Up, Wire]) -> None:
    line = f'{first[0].said("commands")}; "{sys.executable}" -m licet doctor --json'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    assert {one["what"] for one in json.loads(done.stdout)} >= {
        "database",
        "schema",
        "keys",
        "door",
        "queue",
        "workers",
    }


def test_the_console_s_link_signs_in_once_and_the_terminal_prints_another(first: tuple[Up, Wire]) -> None:
    up, _ = first
    link = up.said("console").partition(" ")[0]
    with httpx.Client(follow_redirects=True) as browser:
        page = browser.get(link)
        assert (page.status_code, page.url.path) == (200, "/console")
        assert "Find a customer" in page.text
    with httpx.Client(follow_redirects=True) as browser:
        assert browser.get(link).status_code == 401

        def printed() -> str | None:  # at most one every few seconds
            assert browser.post(link.partition("?")[0]).status_code == 200
            links: list[str] = re.findall(r"(?m)^console: (\S+)$", up.process.out)
            return links[-1] if links else None

        assert browser.get(eventually("another link", printed, every=0.5)).url.path == "/console"


def test_the_simulated_salesforce_brings_customers_and_their_users(first: tuple[Up, Wire]) -> None:
    _, wire = first

    def simulated() -> list[Any] | None:
        lines = [line for line in wire.get("/v1/customers")["items"] if line["id"] != "acme-1"]
        pages = [wire.get(f"/v1/customers/{line['id']}") for line in lines]
        known = [page for page in pages if page["people"]["users"] and page["domains"]]
        return known if len(known) >= 10 else None

    for page in eventually("ten customers with a user and a domain each", simulated):
        user, domain = page["people"]["users"][0]["name"], page["domains"][0]["name"]
        for who in ({"customer": page["id"]}, {"user": user}, {"user": f"someone-new@{domain}"}):
            decision = wire.check(EMAIL, **who)
            assert decision["customer"] == page["id"]
            assert decision["reason"] in {"licensed", "not_licensed", "terms_not_signed", "revoked", "suspended"}


def test_changes_are_shown_as_they_are_applied(first: tuple[Up, Wire]) -> None:
    up, wire = first
    wire.applied(customer(Name="shown-live.example", SKU1=True))
    assert "SKU1=on" in up.process.wait_for(r"(?m)^[\d:]{8}  applied +shown-live\.example .* revision \d+$")[0]


def test_in_a_terminal_it_is_rich_and_ctrl_c_ends_all_of_it(tmp_path: pathlib.Path) -> None:
    data, port = tmp_path / "data", free_port()
    command = [*LICET, "up", "--simulate", "--port", str(port), "--data", str(data)]
    with Terminal(command, tmp_path, {}) as terminal:
        terminal.wait_for(r"(?m)^\S+  applied .* revision \d+", 40)
        assert "\x1b[1m" in terminal.screen
        assert QUEUE in terminal.text
        key = terminal.wait_for(r"API key\s+(\S+)", 1)[1]
        for name in ("post", "ask"):  # 80 columns must not break a line that is to be copied
            assert run_line(terminal.wait_for(rf"(?m)^{name}\s+(curl .*)$", 1)[1])
        with Wire(f"http://127.0.0.1:{port}", key) as wire:
            acme = customer(SKU1=True)
            wire.applied(acme)
        terminal.press_ctrl_c()
        assert terminal.ended(10) == 0, terminal.text
    assert "Traceback" not in terminal.text
    after = terminal.text.rpartition("^C")[2].strip().splitlines()
    assert len(after) == 1, terminal.text
    assert str(data) in after[0]
    assert not commands_with(str(data))
    assert not commands_with(f"localhost:{port}")

    with started(data) as (again, wire):
        assert again.said("API key") == key
        assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
        again.process.signal(signal.SIGTERM)
        assert again.process.ended() == 0, again.process
    assert not again.left_behind()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7"])
def test_it_refuses_to_open_the_door_to_others(tmp_path: pathlib.Path, host: str) -> None:
    done = licet("up", "--host", host, "--data", str(tmp_path / "data"))
    assert done.code == 2
    assert f"--host {host}: anyone there could post customers" in done.err
    assert "LICET_WEBHOOK_AUTH=required" in done.err
    assert not (tmp_path / "data").exists()


def test_a_port_in_use_is_said_in_words_and_leaves_nothing_running(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = licet("up", "--simulate", "--port", str(port), "--data", str(data))
    assert done.code == 2, done
    assert f"licet: cannot listen on 127.0.0.1:{port}" in done.err
    assert "--port" in done.err
    assert "Traceback" not in done.err
    assert not commands_with(str(data))
    assert not commands_with(f"localhost:{port}")


def test_a_second_up_on_the_same_folder_leaves_the_first_one_alone(first: tuple[Up, Wire]) -> None:
    up, wire = first
    done = licet("up", "--port", str(up.port), "--data", str(up.data))
    assert done.code == 2, done
    with started(up.data) as (second, beside):
        assert second.said("API key") == up.said("API key")
        acme = customer(SKU1=True)
        beside.applied(acme)
        second.process.interrupt_group()  # what Ctrl-C does, here without a terminal
        assert second.process.ended() == 0, second.process
    assert "Traceback" not in second.process.err
    assert wire.check(EMAIL, customer=acme["Id"])["reason"] == "licensed"
    wire.applied(customer(SKU1=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_start_that_is_broken_off_leaves_nothing_running(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    up = Up(tmp_path / "data")
    with up.process:
        running = f"-D {up.data / 'postgres'} "  # the server's command, not initdb's
        eventually("PostgreSQL runs", lambda: [one for one in commands_with(running) if "initdb" not in one] or None)
        up.process.signal(number)
        code = up.process.ended()
    assert "Traceback" not in up.process.err
    assert code != 0
    assert not up.left_behind()
