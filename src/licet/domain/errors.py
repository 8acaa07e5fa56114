"""Every error that Licet raises on purpose.

LicetError
├── InvalidInput          the caller sent something that cannot be read; carries every fault
│   └── PayloadTooLarge   more bytes or items than the limit
├── Unauthenticated       no credential, or one that is not known
├── Forbidden             a known caller without the right
├── NotFound              the thing named does not exist
├── Conflict              the request contradicts what is stored
├── Resync                a position that is unknown or too long ago; a new snapshot helps
├── Unavailable           a part of Licet cannot answer now; carries when to come back
│   └── RevisionNotReached the answer does not include yet what the caller asked it to include
└── ConfigurationError    the deployment is set up wrongly; stops the start
    └── SchemaDiffers     the database is at another release's schema

``code`` is stable: clients may branch on it. The edge maps each class to HTTP once (``edge/problems.py``).
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with an input: where it stands, what was found, what was expected.

    ``found`` is a short rendering for people, never the whole value. ``line`` and ``column`` (from 1) are told where
    the input is a text that a person wrote; 0: not known.
    """

    field: str
    found: str
    expected: str
    line: int = 0
    column: int = 0


class LicetError(Exception):
    """An error that Licet raises on purpose."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(LicetError):
    """The input cannot be read or breaks a rule."""

    code = "invalid_input"
    title = "The input is not valid"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, *faults: Fault) -> "InvalidInput":
        """Build the error from its faults; the detail counts and names them."""
        named = "; ".join(f"{f.field}: found {f.found}, expected {f.expected}" for f in faults[:3])
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""  # noqa: PLR2004 three fit one line
        return cls(f"{named}{more}", faults)


class PayloadTooLarge(InvalidInput):
    """The input is larger than the limit."""

    code = "payload_too_large"
    title = "The body is too large"


class Unauthenticated(LicetError):
    """The request carries no credential that Licet knows. ``cause`` is a word for counting."""

    code = "unauthenticated"
    title = "Who are you?"

    def __init__(self, detail: str, cause: str = "key") -> None:
        super().__init__(detail)
        self.cause = cause


class Forbidden(LicetError):
    """The caller is known and may not do this."""

    code = "forbidden"
    title = "Not allowed"


class NotFound(LicetError):
    """The thing named does not exist."""

    code = "not_found"
    title = "Not found"


class Conflict(LicetError):
    """The request contradicts what is stored."""

    code = "conflict"
    title = "Conflict"


class Resync(LicetError):
    """What happened after the position cannot be told; take a new snapshot."""

    code = "resync"
    title = "Take a new snapshot"


class Unavailable(LicetError):
    """A part of Licet cannot answer now. ``retry_after`` is in seconds."""

    code = "unavailable"
    title = "Not available now"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class RevisionNotReached(Unavailable):
    """The answer did not come to include the revision or the event asked for in time."""

    code = "revision_not_reached"
    title = "Not included yet"


class ConfigurationError(LicetError):
    """The deployment is set up wrongly; Licet does not start."""

    code = "configuration"
    title = "The configuration is not valid"


class SchemaDiffers(ConfigurationError):
    """The database's schema is not this release's. ``todo`` is what to do about it."""

    def __init__(self, found: str, todo: str) -> None:
        super().__init__(f"{found}: {todo}")
        self.found = found
        self.todo = todo
