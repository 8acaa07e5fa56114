"""The safety brake in the store: what ends is counted, and what it holds are overrides."""

import datetime as dt
import math
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries
from licet.domain.brake import AUTHOR, Brake, Counted, Hold, Room
from licet.store.pools import Pool, connection_of
from licet.store.ports import Folded
from licet.store.values import BrakeLine, BrakeStatus, Page

_GRANTED = "the license gives access again, or its customer was erased"


class BrakeBook:
    """Counts and holds in a transaction under the write lock; see ``store.ports``."""

    def __init__(self, connection: Connection, revision: int) -> None:
        self._connection = connection
        self._revision = revision

    def count_ends(self, ends: int, brake: Brake) -> Counted:
        """Count licenses that end; returns what was counted before them.

        What gives access is counted once in a window: when as many have ended as may count for a share.
        """
        row = self._run("count_ends", ends=ends, window=brake.window, hold=brake.hold).fetchone()
        assert row is not None  # noqa: S101 it sums up
        before = Counted(*row)
        if before.active is None and brake.share and before.ends + ends > brake.floor:
            self._run("patience")
            row = self._run("count_active", before=before.ends).fetchone()
            before = Counted(before.ends, row[0] if row is not None else None)
        return before

    def write(self, folded: Folded) -> None:
        """Keep what a fold let end, hold what it holds, and end the holds that are over."""
        if folded.retired:
            self.end_holds(folded.retired, AUTHOR, _GRANTED)
        if folded.passed:
            self._run("let_end", ends=_json(folded.passed))
        if folded.holds and folded.room is not None:
            self.hold(folded.holds, folded.room, AUTHOR)

    def hold(self, holds: Iterable[Hold], room: Room, author: str) -> None:
        """Keep access to licenses that ended; one without ``since`` has it from now on."""
        said = {"reason": room.why, "author": author, "hold": room.hold, "revision": self._revision}
        self._run("hold", holds=_json(holds), **said)

    def end_holds(self, pairs: Iterable[tuple[str, str]], author: str, reason: str, kept: Collection[str] = ()) -> None:
        """End the holds of (customer, SKU) pairs; those of the customers ``kept`` become the author's own overrides."""
        said = {"revision": self._revision, "ended_by": author, "end_reason": reason}
        rows = [{"customer_id": customer_id, "sku": sku} for customer_id, sku in pairs]
        self._run("end_holds", pairs=_json(rows), **said)
        if kept:
            self._run("keep_held", kept=list(kept), **said)

    def pick(self, which: str, window: dt.timedelta, customer_id: str | None, limit: int) -> list[tuple[str, str]]:
        """Return some (customer, SKU) pairs that are ``held``, or that ``ended`` before, perhaps of one customer."""
        asked = {"window": window, "only": customer_id, "customer_id": "", "sku": "", "limit": limit}
        return [(row[0], row[1]) for row in self._run(which, **asked)]

    def _run(self, query: str, **parameters: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(_sql()[query], parameters)


class PostgresBrake:
    """Reads how the brake stands. Every method raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool, brake: Brake) -> None:
        self._pool = pool
        self._brake = brake

    async def status(self) -> BrakeStatus:
        """Return how it stands."""
        [(text,)] = await self._rows("status")
        found = msgspec.json.decode(text)
        counted = found.pop("counted")
        limit = self._brake.limit(counted if counted is not None else found["active"])
        return BrakeStatus(
            on=self._brake.on,
            window_s=int(self._brake.window.total_seconds()),
            limit=int(limit) if math.isfinite(limit) else None,
            **found,
        )

    async def lines(self, which: str, after: tuple[str, str] | None, limit: int) -> Page:
        """Return licenses that are ``held``, or that ``ended`` before any was, by customer and SKU."""
        customer_id, sku = after or ("", "")
        rows = await self._rows(which, only=None, customer_id=customer_id, sku=sku, limit=limit + 1)
        return Page([BrakeLine(*row) for row in rows[:limit]], more=len(rows) > limit)

    async def _rows(self, query: str, **asked: Any) -> list[tuple[Any, ...]]:
        async with connection_of(self._pool) as connection:
            said = {"window": self._brake.window, **asked}
            return await (await connection.execute(_sql()[query], said)).fetchall()


async def count_held(pool: Pool) -> int:
    """Count what is held. Raises ``Unavailable``."""
    async with connection_of(pool) as connection:
        row = await (await connection.execute(_sql()["count_held"])).fetchone()
    return row[0] if row is not None else 0


def _sql() -> dict[str, bytes]:
    return named_queries("licet.store", "sql/brake.sql")


def _json(rows: Iterable[object]) -> str:
    return msgspec.json.encode(list(rows)).decode()
