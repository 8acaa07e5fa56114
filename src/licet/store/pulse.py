"""How the road stands, for those who watch it."""

from collections.abc import Sequence

from licet.store.pools import Reader
from licet.store.standing import Pulse, Told


class PostgresPulse(Reader):
    """Reads what whoever watches wants to see first."""

    files = ("pulse",)

    async def pulse(self) -> Pulse:
        """Say whether changes come through."""
        [row] = await self._rows("pulse")
        return Pulse(**dict(zip(Pulse.__struct_fields__, row, strict=True)))

    async def deliveries(self, after: int, limit: int) -> Sequence[Told]:
        """Return the last deliveries beyond a sequence number, the last first."""
        return [Told(*row) for row in await self._rows("deliveries", after=after, limit=limit)]
