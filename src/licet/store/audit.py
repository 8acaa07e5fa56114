"""The audit: what people did, written in the transaction that did it. Append-only, by trigger and by privilege."""

import datetime as dt
from collections.abc import Awaitable, Iterator
from typing import Any, overload

import msgspec

from licet.database import AsyncConnection, Connection, named_queries
from licet.store.pools import Reader
from licet.store.sessions import moment
from licet.store.values import Act, AuditEntry, Page

_entries = msgspec.json.Decoder(list[AuditEntry])


@overload
def audit(connection: Connection, act: Act) -> object: ...
@overload
def audit(connection: AsyncConnection, act: Act) -> Awaitable[object]: ...
def audit(connection: Connection | AsyncConnection, act: Act) -> object:
    """Keep an act, in the caller's transaction. To be awaited where the connection is."""
    states = {"before": _json(act.before), "after": _json(act.after)}
    said = msgspec.structs.asdict(act) | {"actor": str(act.by), "via": act.by.via.value} | states
    return connection.execute(_sql()["insert_entry"], said)


class PostgresAudit(Reader):
    """Reads the audit for people."""

    files = ("audit",)

    async def search(
        self, customer: str | None, actor: str | None, action: str | None, before: int | None, limit: int
    ) -> Page:
        """Return entries (None: any), the one written last first, from below the entry given.

        Raises ``Unavailable``.
        """
        asked = {"customer": customer, "actor": actor, "action": action, "before_entry": before, "limit": limit + 1}
        return Page.of(_entries.decode(await self._one("list_entries", **asked)), limit)


def export_audit(url: str, since: dt.datetime | None) -> Iterator[str]:
    """Yield all entries since a moment (None: all) as lines of JSON, streamed, the oldest first.

    Raises ``Unavailable``.
    """
    with moment(url, "licet audit") as connection, connection.cursor("audit") as cursor:
        for (line,) in cursor.execute(_sql()["export_entries"], {"since": since}):
            yield line


def _sql() -> dict[str, bytes]:
    return named_queries("licet.store", "sql/audit.sql")


def _json(value: Any) -> str | None:
    return msgspec.json.encode(value).decode() if value is not None else None
