"""The console's links and ended sessions in the store: digests and names, never a secret."""

import datetime as dt
from collections.abc import Mapping

from licet.database import named_queries
from licet.domain.principal import Actor
from licet.store.audit import audit
from licet.store.pools import Pool, connection_of
from licet.store.values import Act, Action


class PostgresSessions:
    """Keeps links and ends; see ``manage.ports``. Every method raises ``Unavailable`` where the store is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = named_queries("licet.store", "sql/console.sql")

    async def keep_link(self, digest: bytes, name: str, lasts: dt.timedelta, by: Actor) -> None:
        """Keep a link for a time, and forget those whose time has passed."""
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.execute(self._sql["delete_old_links"])
            await connection.execute(self._sql["insert_link"], {"digest": digest, "name": name, "lasts": lasts})
            await audit(connection, Act(action=Action.CONSOLE_LINK, subject=name, by=by))

    async def take_link(self, digest: bytes) -> tuple[str, bool] | None:
        """Use a link up; returns its name and whether it is in time, None where there is none."""
        async with connection_of(self._pool) as connection:
            return await (await connection.execute(self._sql["take_link"], {"digest": digest})).fetchone()

    async def end(self, whose: str, subject: str, lasts: dt.timedelta, act: Act) -> None:
        """End sessions that began before now, of those that last so long."""
        async with connection_of(self._pool) as connection, connection.transaction():
            await connection.execute(self._sql["delete_old_ends"], {"lasts": lasts})
            await connection.execute(self._sql["insert_end"], {"whose": whose, "subject": subject})
            await audit(connection, act)

    async def ends(self) -> Mapping[tuple[str, str], float]:
        """Return which sessions ended."""
        async with connection_of(self._pool) as connection:
            found = await (await connection.execute(self._sql["list_ends"])).fetchall()
            return {(whose, subject): at for whose, subject, at in found}
