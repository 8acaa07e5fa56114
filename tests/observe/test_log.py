"""Log lines: one event each, readable by people and machines, without secrets."""

import io
import json
import logging

import pytest

from licet.observe.log import Event, configure, log


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_a_text_line_names_the_event_and_its_fields(stream: io.StringIO) -> None:
    configure("text", "info", stream)
    log(Event.STARTED, port=8000, queue="PostgreSQL", why="it is time", missing=None)
    at, rest = stream.getvalue().split(" ", 1)
    assert at.endswith("Z")
    assert rest == 'INFO    started port=8000 queue=PostgreSQL why="it is time" missing=None | A process is ready.\n'


def test_a_json_line_is_one_object_with_its_traceback(stream: io.StringIO) -> None:
    configure("json", "info", stream)
    try:
        raise ValueError("no\nway")  # noqa: TRY301
    except ValueError as error:
        log(Event.REQUEST_FAILED, error=error, path="/x", ratio=0.5)
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert said["event"] == "request_failed"
    assert (said["level"], said["path"], said["ratio"]) == ("error", "/x", 0.5)
    assert said["traceback"].startswith("Traceback")


def test_a_line_break_in_a_field_forges_no_line(stream: io.StringIO) -> None:
    configure("text", "info", stream)
    log(Event.STARTED, path="/x\n2026-01-01 INFO started", other="a\u2028b")
    logging.getLogger("someone").warning("one\ntwo")
    assert len(stream.getvalue().splitlines()) == 2


@pytest.mark.parametrize("format_", ["text", "json"])
def test_no_secret_leaves_however_it_came_in(stream: io.StringIO, format_: str) -> None:
    configure(format_, "info", stream, secrets=["correct-horse-battery", ""])
    log(
        Event.STARTED,
        a="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b="Bearer licet_ab12_abcdefghijklmnopqrstuvwxyz",
        c="postgresql://ada:hunter2@db/licet",
        d="correct-horse-battery",
    )
    logging.getLogger("uvicorn").warning("sent %s", "licet_ab12_abcdefghijklmnopqrstuvwxyz")
    try:
        raise ValueError("postgresql://ada:hunter2@db/licet")  # noqa: TRY301
    except ValueError as error:
        log(Event.REQUEST_FAILED, error=error)
    said = stream.getvalue()
    for secret in ("MfKQ9r8G", "abcdefghij", "hunter2", "horse"):
        assert secret not in said
    assert "postgresql://ada:(secret)@db/licet" in said


def test_lines_below_the_level_stay_away_and_other_libraries_speak_the_same_form(stream: io.StringIO) -> None:
    configure("json", "warning", stream)
    log(Event.STARTED)
    logging.getLogger("uvicorn.error").error("bad %s", "\ud800")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "uvicorn.error"
    assert json.loads(line)["message"] == "bad \\ud800"


def test_a_field_cannot_take_the_place_of_the_event(stream: io.StringIO) -> None:
    configure("json", "info", stream)
    log(Event.STARTED, level="fatal", message="x")
    said = json.loads(stream.getvalue())
    assert (said["level"], said["message"]) == ("info", "A process is ready.")


def test_every_event_has_one_name_and_a_meaning() -> None:
    assert len({event.event for event in Event}) == len(Event)
    assert all(event.meaning.endswith(".") for event in Event)
