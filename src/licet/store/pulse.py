"""How the road stands, for those who watch it."""

from collections.abc import Sequence
from typing import Any

from licet.database import named_queries
from licet.store.pools import Pool, connection_of
from licet.store.standing import Pulse, Told


class PostgresPulse:
    """Reads what whoever watches wants to see first. Every method raises ``Unavailable``."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/pulse.sql")

    async def pulse(self) -> Pulse:
        """Say whether changes come through."""
        [row] = await self._ask("pulse")
        return Pulse(**dict(zip(Pulse.__struct_fields__, row, strict=True)))

    async def deliveries(self, after: int, limit: int) -> Sequence[Told]:
        """Return the last deliveries beyond a sequence number, the last first."""
        return [Told(*row) for row in await self._ask("deliveries", after=after, limit=limit)]

    async def _ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with connection_of(self._pool) as connection:
            return await (await connection.execute(self._sql[query], parameters)).fetchall()
