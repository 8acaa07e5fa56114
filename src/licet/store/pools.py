"""Connection pools of the web process, and what their failures mean to a caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import psycopg
from psycopg_pool import AsyncConnectionPool

from licet.database import AsyncConnection, named_queries, reader_conninfo, writer_conninfo
from licet.domain.errors import Unavailable

Pool = AsyncConnectionPool[AsyncConnection]

# A caller waits this long (s) for a connection before it is told to come back.
WAIT_S = 2.0
# A readiness check waits less, so that it can still say what it waited for.
READY_WAIT_S = 1.0


def reader_pool(url: str, size: int = 4, wait: float = WAIT_S) -> Pool:
    """Make a pool of connections that read. It opens nothing before ``open()``."""
    return _pool(reader_conninfo(url, application="licet web"), size, wait)


def writer_pool(url: str, size: int = 2, wait: float = WAIT_S) -> Pool:
    """Make a pool of connections that write: two, as there is one write lock."""
    return _pool(writer_conninfo(url, application="licet web writer"), size, wait)


def _pool(conninfo: str, size: int, wait: float) -> Pool:
    return AsyncConnectionPool(
        conninfo,
        connection_class=AsyncConnection,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=size,
        timeout=wait,
        max_waiting=100,
        reconnect_timeout=30.0,
        check=AsyncConnectionPool.check_connection,
        open=False,
    )


@asynccontextmanager
async def connection_of(pool: Pool, wait: float | None = None) -> AsyncIterator[AsyncConnection]:
    """Lend a connection within ``wait`` s (None: the pool's own). A store that is away or too slow: ``Unavailable``."""
    try:
        async with pool.connection(timeout=wait) as connection:
            yield connection
    except (psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout) as error:
        raise Unavailable(f"the store does not answer: {type(error).__name__}") from error


class Reader:
    """Asks the queries of some ``files`` over a pool. Every method raises ``Unavailable`` where the store is away."""

    files: ClassVar[tuple[str, ...]]

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql: dict[str, bytes] = {}
        for file in self.files:
            self._sql |= named_queries("licet.store", f"sql/{file}.sql")

    async def _rows(self, query: str, **asked: Any) -> list[tuple[Any, ...]]:
        async with connection_of(self._pool) as connection:
            return await (await connection.execute(self._sql[query], asked)).fetchall()

    async def _one(self, query: str, **asked: Any) -> Any:
        """Return what the first row says first; None where there is none."""
        rows = await self._rows(query, **asked)
        return rows[0][0] if rows else None


@asynccontextmanager
async def writing(pool: Pool) -> AsyncIterator[tuple[AsyncConnection, int]]:
    """Lend a connection in a transaction under the one write lock, and its revision. Raises ``Unavailable``."""
    sql = named_queries("licet.store", "sql/projection.sql")
    async with connection_of(pool) as connection, connection.transaction():
        [(revision, *_)] = await (await connection.execute(sql["begin"], {"deliveries": 0})).fetchall()
        await connection.execute(sql["log_revision"])
        yield connection, revision


async def write_feed(connection: AsyncConnection, revision: int, kind: str, subject: str) -> None:
    """Tell followers whom a revision touched."""
    sql = named_queries("licet.store", "sql/projection.sql")
    await connection.execute(sql["write_feed"], {"revision": revision, "kind": kind, "subject": subject})


async def store_ready(pool: Pool) -> str | None:
    """Return None where the store answers, else what it waits for, in words."""
    try:
        async with connection_of(pool, READY_WAIT_S) as connection:
            await connection.execute("SELECT 1")
    except Unavailable as error:
        return error.detail
    return None
