"""Who asks and who acts: the caller of a request, as authentication found it, or the person at a shell; and why."""

import enum

import msgspec

from licet.domain.errors import Fault, Forbidden
from licet.domain.ids import shown

REASON_LENGTH = 500


class Scope(enum.StrEnum):
    """What a key may do. ``admin`` includes all others."""

    READ = "read"
    EXPLAIN = "explain"
    SNAPSHOT = "snapshot"
    WRITE = "write"
    SUPPORT = "support"
    INGEST = "ingest"
    ADMIN = "admin"

    __hash__ = str.__hash__  # an enumeration's own is written in Python: 0.2 µs a look-up, two for each request


class Via(enum.StrEnum):
    """Which way a person came in."""

    API = "api"
    CLI = "cli"
    PAGE = "page"
    SERVICE = "service"


class Actor(msgspec.Struct, frozen=True):
    """Who does something: a key's name and id, or at a shell the user of the machine."""

    name: str
    via: Via = Via.CLI
    key_id: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.key_id})" if self.key_id else self.name


class Principal(msgspec.Struct, frozen=True):
    """A caller: a key, or a person at the console (no ``key_id``). ``name`` is the author of its changes."""

    name: str
    key_id: str | None
    scopes: frozenset[Scope]
    via: Via = Via.API

    @property
    def actor(self) -> Actor:
        """The caller as the author of what it changes."""
        return Actor(self.name, self.via, self.key_id)

    def require(self, scope: Scope) -> None:
        """Raise ``Forbidden`` unless the caller has the scope."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            who = f'the key "{self.name}"' if self.key_id else self.name
            raise Forbidden(f"{who} lacks the scope {scope}; it has {', '.join(sorted(self.scopes))}")


def reason_faults(reason: str, most: int = REASON_LENGTH) -> list[Fault]:
    """Return what is wrong with the reason that a person gives for an act."""
    if reason.strip() and len(reason) <= most and "\x00" not in reason:
        return []
    return [Fault("reason", shown(reason), f"1 to {most} characters that say why")]
