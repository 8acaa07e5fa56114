"""The safety brake in the store: what ends is counted, and what it holds are overrides."""

import datetime as dt
import math
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
import psycopg

from licet.database import Connection, named_queries
from licet.domain.brake import AUTHOR, Brake, Counted, Hold, Room
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.pools import Pool, connection_of
from licet.store.ports import Folded
from licet.store.values import Act, Action, BrakeLine, BrakeView

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

    def end_holds(self, pairs: Iterable[tuple[str, str]], author: str, reason: str) -> None:
        """End the holds of (customer, SKU) pairs."""
        rows = [{"customer_id": customer_id, "sku": sku} for customer_id, sku in pairs]
        said = {"revision": self._revision, "ended_by": author, "end_reason": reason}
        self._run("end_holds", pairs=_json(rows), **said)

    def keep(self, customers: Collection[str], by: Actor, reason: str) -> None:
        """Make a person's overrides of the customers' holds that were ended here; they last as long."""
        said = {"revision": self._revision, "kept": list(customers), "author": by.name, "reason": reason}
        for customer_id, override_id, after in self._run("keep", **said).fetchall():
            put = Act(
                action=Action.OVERRIDE_PUT,
                subject=override_id,
                by=by,
                customer_id=customer_id,
                after=after,
                reason=reason,
            )
            audit(self._connection, put)

    def pick(self, which: str, window: dt.timedelta, customer_id: str | None, limit: int) -> list[tuple[str, str]]:
        """Return some (customer, SKU) pairs that are ``held``, or that ``ended`` before, perhaps of one customer."""
        asked = {"window": window, "only": customer_id, "after": "", "limit": limit}
        return [(row[0], row[1]) for row in self._run(which, **asked)]

    def _run(self, query: str, **parameters: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(_sql()[query], parameters)


class PostgresBrake:
    """Reads how the brake stands. Raises ``Unavailable`` where the store does not answer."""

    def __init__(self, pool: Pool, brake: Brake) -> None:
        self._pool = pool
        self._brake = brake

    async def show(self, ended: bool, after: str, limit: int) -> BrakeView:
        """Return its numbers, and licenses that it holds, or that ``ended`` before it held any, from beyond one."""
        window = self._brake.window
        asked = {"window": window, "only": None, "after": after, "limit": limit + 1}
        [(held, ends, counted, active)] = await _rows(self._pool, "status", asked)
        rows = await _rows(self._pool, "ended" if ended else "held", asked)
        most = self._brake.limit(counted if counted is not None else active)
        return BrakeView(
            on=self._brake.on,
            window_s=int(window.total_seconds()),
            limit=int(most) if math.isfinite(most) else None,
            ends=ends,
            active=active,
            held=held,
            items=[BrakeLine(*row) for row in rows[:limit]],
            next=f"{rows[limit - 1][0]} {rows[limit - 1][1]}" if len(rows) > limit else None,
        )


async def count_held(pool: Pool) -> int:
    """Count what is held. Raises ``Unavailable``."""
    [(count,)] = await _rows(pool, "count_held", {})
    return int(count)


async def _rows(pool: Pool, query: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    async with connection_of(pool) as connection:
        return await (await connection.execute(_sql()[query], asked)).fetchall()


def _sql() -> dict[str, bytes]:
    return named_queries("licet.store", "sql/brake.sql")


def _json(rows: Iterable[object]) -> str:
    return msgspec.json.encode(list(rows)).decode()
