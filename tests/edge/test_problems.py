"""Errors become HTTP in one place, with codes that clients may branch on."""

import msgspec
import pytest

from licet.domain import errors
from licet.domain.errors import (
    ConfigurationError,
    Conflict,
    Fault,
    Forbidden,
    InvalidInput,
    LicetError,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
)
from licet.edge.problems import (
    CODES,
    BodyTooSlow,
    Denied,
    MethodNotAllowed,
    UnsupportedEncoding,
    problem_of,
)


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (InvalidInput("x"), 422, "invalid_input", None),
        (PayloadTooLarge("x"), 413, "payload_too_large", None),
        (Unauthenticated("x"), 401, "unauthenticated", (b"www-authenticate", b'Bearer realm="licet"')),
        (Forbidden("x"), 403, "forbidden", None),
        (Denied("x"), 403, "denied", None),
        (NotFound("x"), 404, "not_found", None),
        (Conflict("x"), 409, "conflict", None),
        (Unavailable("x", 7), 503, "unavailable", (b"retry-after", b"7")),
        (MethodNotAllowed("x", ("GET", "HEAD")), 405, "method_not_allowed", (b"allow", b"GET, HEAD")),
        (UnsupportedEncoding("x"), 415, "unsupported_encoding", (b"accept-encoding", b"identity")),
        (BodyTooSlow("x"), 408, "body_too_slow", (b"connection", b"close")),
    ],
)
def test_each_error_has_its_status_code_and_header(
    error: LicetError, status: int, code: str, header: tuple[bytes, bytes] | None
) -> None:
    problem = problem_of(error)
    assert problem.status == status == CODES[code].status
    assert msgspec.json.decode(problem.body) == {
        "type": f"urn:licet:problem:{code}",
        "title": CODES[code].title,
        "status": status,
        "detail": "x",
        "code": code,
    }
    headers = [pair for pair in problem.headers if pair[0] != b"content-length"]
    assert headers == [(b"content-type", b"application/problem+json"), *([header] if header else [])]


def test_every_fault_reaches_the_sender() -> None:
    faults = [Fault("Id", "nothing", "an id"), Fault("SKU1", '"yes"', "true, false or null")]
    body = msgspec.json.decode(problem_of(InvalidInput.of(*faults)).body)
    assert body["faults"] == [
        {"field": "Id", "found": "nothing", "expected": "an id"},
        {"field": "SKU1", "found": '"yes"', "expected": "true, false or null"},
    ]


@pytest.mark.parametrize("error", [ValueError("the password is hunter2"), ConfigurationError("hunter2"), KeyError()])
def test_what_was_not_expected_tells_nothing_of_itself(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.status == 500
    assert msgspec.json.decode(problem.body)["code"] == "internal"
    assert b"hunter2" not in problem.body


def test_a_more_special_error_keeps_the_status_of_its_kind() -> None:
    class Gone(NotFound):
        code = "gone"

    assert problem_of(Gone("x")).status == 404


def test_every_error_of_the_tree_that_can_reach_a_client_is_registered_with_a_meaning() -> None:
    raised = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, LicetError) and kind is not LicetError
        if not issubclass(kind, ConfigurationError)  # ends the start
    }
    assert {kind.code for kind in raised} <= set(CODES)
    assert all(code.meaning and code.title for code in CODES.values())
