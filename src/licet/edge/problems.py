"""The one place where errors become HTTP: RFC 9457 problem documents.

==================  ======  =========================================================
error               status  beside ``type``, ``title``, ``status``, ``detail``, ``code``
==================  ======  =========================================================
InvalidInput        422     ``faults``: every fault with field, found, expected
PayloadTooLarge     413     ``faults``
Unauthenticated     401     header ``WWW-Authenticate: Bearer``
Forbidden           403
Denied              403
NotFound            404
Conflict            409
Resync              410
Unavailable         503     header ``Retry-After`` in seconds
RevisionNotReached  503     the same
MethodNotAllowed    405     header ``Allow``
UnsupportedEncoding 415     header ``Accept-Encoding``
BodyTooSlow         408     header ``Connection: close``
anything else       500     nothing of the error itself: the caller logs it
==================  ======  =========================================================
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from licet.domain import errors
from licet.domain.errors import Fault, LicetError

CONTENT_TYPE = b"application/problem+json"
Headers = tuple[tuple[bytes, bytes], ...]


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
    headers: Headers
    body: bytes


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457. ``code`` is stable; ``faults`` names everything that is wrong with an input, where it is."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    faults: Sequence[Fault] = ()


_STATUS: Mapping[type[LicetError], int] = MappingProxyType(
    {
        errors.InvalidInput: 422,
        errors.PayloadTooLarge: 413,
        errors.Unauthenticated: 401,
        errors.Forbidden: 403,
        Denied: 403,
        errors.NotFound: 404,
        errors.Conflict: 409,
        errors.Resync: 410,
        errors.Unavailable: 503,
        errors.RevisionNotReached: 503,
        MethodNotAllowed: 405,
        UnsupportedEncoding: 415,
        BodyTooSlow: 408,
        InternalError: 500,
    }
)
CODES: Mapping[str, Code] = MappingProxyType(
    {
        error.code: Code(error.code, status, error.title, (error.__doc__ or "").partition("\n")[0])
        for error, status in _STATUS.items()
    }
)
INTERNAL = InternalError("Licet could not finish this request. The log has the reason; nothing is wrong with yours.")
_encode = msgspec.json.Encoder().encode


def problem_of(error: BaseException) -> Problem:
    """Turn an error into its problem document. Whatever is not in the table is 500 ``internal`` without details."""
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if status is None or not isinstance(error, LicetError):
        return problem_of(INTERNAL)
    kind, faults = f"urn:licet:problem:{error.code}", error.faults if isinstance(error, errors.InvalidInput) else ()
    body = _encode(ProblemDocument(kind, error.title, status, error.detail, error.code, faults))
    return Problem(status, ((b"content-type", CONTENT_TYPE), *_headers_of(error)), body)


def _headers_of(error: LicetError) -> Headers:
    match error:
        case errors.Unauthenticated():
            return ((b"www-authenticate", b'Bearer realm="licet"'),)
        case errors.Unavailable():
            return ((b"retry-after", b"%d" % error.retry_after),)
        case MethodNotAllowed():
            return ((b"allow", ", ".join(error.allow).encode()),)
        case UnsupportedEncoding():
            return ((b"accept-encoding", b"identity"),)
        case BodyTooSlow():
            return ((b"connection", b"close"),)
        case _:
            return ()
