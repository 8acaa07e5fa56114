"""``licet settings``, and settings that are wrong."""

import pathlib
import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from cli.said import Cli

SECRETS = {
    "database_url": "postgresql://licet:correct-horse@db/licet",
    "kafka_config": "sasl.password=battery-staple",
    "webhook_secrets": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "bootstrap_api_key": "a-long-bootstrap-key",
}


@pytest.fixture
def restored_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_every_setting_is_listed_with_its_value_and_what_it_is_for(cli: Cli) -> None:
    said = cli("settings", port="8123")
    rows = {name: (value, help_) for name, value, help_ in (line.split("\t") for line in said.out.splitlines())}
    assert said.code == 0
    assert rows["LICET_PORT"][0] == "8123"
    assert rows["LICET_KAFKA_BROKERS"][0] == ""
    assert rows["LICET_WEBHOOK_AUTH"][0] == "required"
    assert all(name.startswith("LICET_") and " " in help_ for name, (_, help_) in rows.items())


def test_secrets_are_masked(cli: Cli) -> None:
    said = cli("settings", **SECRETS)
    for name, value in SECRETS.items():
        assert f"LICET_{name.upper()}\t(set)\t" in said.out
        assert value not in said.out


def test_a_terminal_gets_a_table(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    said = cli("settings")
    assert "\t" not in said.out
    assert "What it is for" in said.out
    assert "LICET_DATABASE_URL" in said.out


def test_a_narrow_terminal_gets_a_block_for_each_row_in_which_no_name_is_broken(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for width in (50, 60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        said = cli("settings").out
        plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
        assert max(map(len, plain.splitlines())) <= width
        assert "LICET_CONSOLE_OIDC_CLIENT_SECRET" in plain.split()


def test_settings_that_are_wrong_are_all_named_and_end_with_two(cli: Cli) -> None:
    said = cli("settings", port="x", log_level="loud", kafka_config="oops", webhook_secrets="whsec", nonsense="1")
    assert said.code == 2
    assert len(said.err.splitlines()) == 5
    assert all(line.startswith("licet: LICET_") for line in said.err.splitlines())
    assert "LICET_NONSENSE: no such setting" in said.err
    assert 'LICET_LOG_LEVEL: found "loud", expected debug or info or warning or error' in said.err
    assert "oops" not in said.err  # it may hold a password


def test_a_setting_of_the_simulator_is_none_of_ours_and_stops_nothing(cli: Cli) -> None:
    assert cli("settings", simulator_api_key="a-key-of-the-simulator").code == 0


def test_an_empty_variable_counts_as_unset(cli: Cli) -> None:
    assert "LICET_PORT\t8000\t" in cli("settings", port="").out


@pytest.mark.parametrize("command", [("keys", "list"), ("catalog", "show"), ("migrate",), ("web",)])
def test_without_a_database_the_setting_is_named(cli: Cli, command: tuple[str, ...]) -> None:
    said = cli(*command)
    assert said.code == 2
    assert "LICET_DATABASE_URL: found nothing, expected postgresql://" in said.err


@pytest.mark.parametrize("url", ["", "not-an-address correct-horse"])
def test_a_worker_does_not_wait_where_waiting_cannot_help(cli: Cli, restored_signals: None, url: str) -> None:
    began = time.monotonic()
    said = cli("worker", "--wait", "30", database_url=url)
    assert said.code == 2
    assert time.monotonic() - began < 10
    assert said.err.splitlines()[-1].startswith("licet: LICET_DATABASE_URL: found ")
    assert "waiting" not in said.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://licet:correct-horse@127.0.0.1:1/licet", "PostgreSQL at 127.0.0.1:1, database licet"),
        ("not-an-address correct-horse", "LICET_DATABASE_URL: found a value that cannot be read"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(cli: Cli, url: str, words: str) -> None:
    said = cli("keys", "list", database_url=url)
    assert said.code == 2
    assert words in said.err
    assert "correct-horse" not in said.err


def test_up_says_that_its_port_is_taken_before_it_starts_anything(
    cli: Cli, restored_signals: None, tmp_path: pathlib.Path
) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = cli("up", "--port", port, "--data", str(data))
    assert said.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in said.err
    assert not data.exists()
