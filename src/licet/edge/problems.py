"""The one place where errors become HTTP: RFC 9457 problem documents, by the table ``_TOLD``."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from licet.domain import errors
from licet.domain.errors import Fault, LicetError

CONTENT_TYPE = b"application/problem+json"
Header = tuple[bytes, bytes]


class MethodNotAllowed(LicetError):
    """The path takes other methods; the header ``Allow`` names them."""

    code = "method_not_allowed"
    title = "Another method, please"

    def __init__(self, detail: str, allow: Sequence[str]) -> None:
        super().__init__(detail)
        self.allow = tuple(allow)


class UnsupportedEncoding(LicetError):
    """The request body is compressed; Licet takes plain bodies only."""

    code = "unsupported_encoding"
    title = "The body is encoded"


class BodyTooSlow(LicetError):
    """The request body did not arrive in time."""

    code = "body_too_slow"
    title = "The body came too slowly"


class Denied(LicetError):
    """The decision is no, where the way to ask tells it by the status: forward auth."""

    code = "denied"
    title = "Not included"


class InternalError(LicetError):
    """Licet failed; the log tells why."""

    code = "internal"
    title = "Licet failed"


class Code(msgspec.Struct, frozen=True):
    """One code of the registry: clients may branch on it."""

    code: str
    status: int
    title: str
    meaning: str


class Problem(msgspec.Struct, frozen=True):
    """An error as HTTP: the status, all headers but Content-Length (lower case), the encoded body."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. ``code`` is stable; ``faults`` names everything that is wrong with an input, where it is."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    faults: Sequence[Fault] = ()


def _retry_after(error: errors.Unavailable) -> Header:
    return (b"retry-after", b"%d" % error.retry_after)


# Each error's status, and the header that goes with it; an InvalidInput also tells its faults. Whatever is not here is
# a 500 that tells nothing of the error itself: the caller logs it.
_TOLD: Mapping[type[LicetError], tuple[int, Callable[[Any], Header] | None]] = MappingProxyType(
    {
        errors.InvalidInput: (422, None),
        errors.PayloadTooLarge: (413, None),
        errors.Unauthenticated: (401, lambda _: (b"www-authenticate", b'Bearer realm="licet"')),
        errors.Forbidden: (403, None),
        Denied: (403, None),
        errors.NotFound: (404, None),
        errors.Conflict: (409, None),
        errors.Resync: (410, None),
        errors.Unavailable: (503, _retry_after),
        errors.RevisionNotReached: (503, _retry_after),
        MethodNotAllowed: (405, lambda error: (b"allow", ", ".join(error.allow).encode())),
        UnsupportedEncoding: (415, lambda _: (b"accept-encoding", b"identity")),
        BodyTooSlow: (408, lambda _: (b"connection", b"close")),
        InternalError: (500, None),
    }
)
CODES: Mapping[str, Code] = MappingProxyType(
    {
        error.code: Code(error.code, status, error.title, (error.__doc__ or "").partition("\n")[0])
        for error, (status, _) in _TOLD.items()
    }
)
INTERNAL = InternalError("Licet could not finish this request. The log has the reason; nothing is wrong with yours.")
_encode = msgspec.json.Encoder().encode


def problem_of(error: BaseException) -> Problem:
    """Turn an error into its problem document. Whatever is not in the table is 500 ``internal`` without details."""
    told = next((_TOLD[kind] for kind in type(error).__mro__ if kind in _TOLD), None)
    if told is None or not isinstance(error, LicetError):
        return problem_of(INTERNAL)
    status, header = told
    kind, faults = f"urn:licet:problem:{error.code}", error.faults if isinstance(error, errors.InvalidInput) else ()
    body = _encode(ProblemDocument(kind, error.title, status, error.detail, error.code, faults))
    return Problem(status, ((b"content-type", CONTENT_TYPE), *([header(error)] if header else [])), body)
