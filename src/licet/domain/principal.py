"""Who asks: the caller of a request, as authentication found it."""

import enum

import msgspec

from licet.domain.errors import Forbidden


class Scope(enum.StrEnum):
    """What a key may do. ``admin`` includes all others."""

    READ = "read"
    EXPLAIN = "explain"
    SNAPSHOT = "snapshot"
    WRITE = "write"
    INGEST = "ingest"
    ADMIN = "admin"

    __hash__ = str.__hash__  # an enumeration's own is written in Python: 0.2 µs a look-up, two for each request


class Principal(msgspec.Struct, frozen=True):
    """A caller. ``name`` is the key's name; it is the author of what the caller changes."""

    name: str
    key_id: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Raise ``Forbidden`` unless the caller has the scope."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise Forbidden(f'the key "{self.name}" lacks the scope {scope}; it has {", ".join(sorted(self.scopes))}')
