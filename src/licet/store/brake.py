"""The safety brake in the store: what ends is counted, and what it holds are overrides."""

import math
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries
from licet.domain.brake import AUTHOR, HELD, Brake, Room
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.overrides import ending
from licet.store.pools import Pool, Reader, connection_of
from licet.store.ports import Folded
from licet.store.standing import BrakeLine, BrakeView
from licet.store.values import Act, Action

_GRANTED = "the license gives access again"


class BrakeWriter:
    """The brake's part of a transaction under the write lock; see ``store.ports``."""

    revision: int
    _connection: Connection

    def count_ends(self, ends: int, brake: Brake) -> Room:
        """Count licenses that end; returns how many of them may.

        What gives access is counted once in a window: when as many have ended as may be too large a share.
        """
        [(before, active)] = self._ask("count_ends", ends=ends, window=brake.window, hold=brake.hold)
        if active is None and brake.share and before + ends > brake.floor:
            self._ask("patience")
            [(active,)] = self._ask("count_active", before=before)
        return brake.room(before, active, ends)

    def write_ends(self, folded: Folded) -> None:
        """Keep which licenses a fold let end, hold what it holds, and end the holds that are over."""
        if folded.retired:
            self._end(folded.retired, AUTHOR, _GRANTED)
        if folded.passed:
            self._ask("let_end", ends=rows_text(folded.passed))
        if folded.holds and folded.room is not None:
            self._hold(folded.holds, folded.room, AUTHOR)

    def release(
        self, only: str | None, keep: Collection[str], by: Actor, reason: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """End some holds; those of the customers ``keep`` become this person's overrides, and last as long."""
        self._ask("in_order")
        pairs = [(row[0], row[1]) for row in self._ask("held", only=only, after=after, limit=limit)]
        self._end(pairs, by.name, reason)
        kept = {"revision": self.revision, "kept": list(keep), "author": by.name, "reason": reason}
        for customer_id, name, made in self._ask("keep", **kept):
            act = Act(
                action=Action.OVERRIDE_PUT, subject=name, by=by, customer_id=customer_id, after=made, reason=reason
            )
            audit(self._connection, act)
        return pairs

    def restore(self, brake: Brake, by: Actor, reason: str, after: str, limit: int) -> list[tuple[str, str]]:
        """Hold some of what ended before any was held."""
        pairs = [(row[0], row[1]) for row in self._ask("ended", window=brake.window, after=after, limit=limit)]
        self._hold(_named(pairs), Room(why=f"{HELD}: {reason}", hold=brake.hold), by.name)
        return pairs

    def _hold(self, licenses: Iterable[object], room: Room, author: str) -> None:
        said = {"reason": room.why, "author": author, "hold": room.hold, "revision": self.revision}
        self._ask("hold", holds=rows_text(licenses), **said)

    def _end(self, pairs: Iterable[tuple[str, str]], author: str, reason: str) -> None:
        said = {"revision": self.revision, "ended_by": author, "end_reason": reason}
        self._connection.execute(ending("holds"), said | {"pairs": rows_text(_named(pairs))})

    def _ask(self, query: str, **said: Any) -> list[tuple[Any, ...]]:
        cursor: psycopg.Cursor[tuple[Any, ...]] = self._connection.execute(_sql()[query], said)
        return cursor.fetchall() if cursor.description is not None else []


class PostgresBrake(Reader):
    """Reads how the brake stands."""

    files = ("brake",)

    def __init__(self, pool: Pool, brake: Brake) -> None:
        super().__init__(pool)
        self._brake = brake

    async def show(self, ended: bool, after: str, limit: int) -> BrakeView:
        """Return its numbers, and licenses that it holds, or that ``ended`` before it held any, from beyond one.

        Raises ``Unavailable``.
        """
        brake = self._brake
        asked = {"window": brake.window, "only": None, "after": after, "limit": limit + 1}
        [(held, ends, counted, active)] = await self._rows("status", **asked)
        rows = await self._rows("ended" if ended else "held", **asked)
        most = brake.limit(counted if counted is not None else active)
        return BrakeView(
            on=brake.on,
            window_s=int(brake.window.total_seconds()),
            limit=int(most) if math.isfinite(most) else None,
            ends=ends,
            active=active,
            held=held,
            items=[BrakeLine(*row) for row in rows[:limit]],
            next=f"{rows[limit - 1][0]} {rows[limit - 1][1]}" if len(rows) > limit else None,
        )


async def count_held(pool: Pool) -> int:
    """Count what is held. Raises ``Unavailable``."""
    async with connection_of(pool) as connection:
        [(count,)] = await (await connection.execute(_sql()["count_held"])).fetchall()
    return int(count)


def _sql() -> dict[str, bytes]:
    return named_queries("licet.store", "sql/brake.sql")


def rows_text(rows: Iterable[object]) -> str:
    """Write rows for ``json_to_recordset``: 500 of them in 0.3 ms, where a list for ``unnest`` takes 1 ms a column."""
    return msgspec.json.encode(list(rows)).decode()


def _named(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"customer_id": customer_id, "sku": sku} for customer_id, sku in pairs]
