"""The check's store: questions gathered into one prepared statement over connections of its own."""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from licet.database import AsyncConnection, named_queries, reader_conninfo
from licet.domain.decision import Held, Known
from licet.domain.errors import Unavailable
from licet.domain.license import Status
from licet.store.coalesce import Coalescer
from licet.store.values import CatalogText, Question, Resolution

# Two: the store works on one batch while this process reads the answer of the other.
LANES = 2
# All look-ups are by key: a plan made while a table was small must not scan it when it has grown, and planning one
# anew costs more than running it.
_PLAN = " ".join(
    f"-c {setting}"
    for setting in (
        "plan_cache_mode=force_generic_plan",
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
        "jit=off",
    )
)
_STATUS = {status.value: status for status in Status}


class PostgresAnswers:
    """Resolves questions and reads catalogs; see ``answer.ports``.

    Connections are made when they are needed, and made anew once within a question when they broke. ``timeout`` (s)
    bounds a connecting and a query each, also where the server hangs without a word.
    """

    def __init__(self, url: str, *, timeout: float = 2.0) -> None:
        conninfo = reader_conninfo(url, application="licet web check", timeout_ms=int(timeout * 1000))
        self._lanes = [_Lane(conninfo, timeout) for _ in range(LANES)]
        self._questions: Coalescer[Question, Resolution] = Coalescer([lane.resolve for lane in self._lanes])
        self._reading = _Lane(conninfo, timeout)
        self._lock = asyncio.Lock()

    async def resolve(self, question: Question) -> Resolution:
        """Resolve a question to customers and licenses. Raises ``Unavailable``."""
        return await self._questions.ask(question)

    async def catalog(self, version: int | None = None) -> CatalogText:
        """Return a version of the catalog, or the current one. Raises ``LookupError`` and ``Unavailable``."""
        async with self._lock:
            rows = await self._reading.run("catalog", {"version": version})
        if not rows:
            raise LookupError("the store has no catalog: run `licet migrate`" if version is None else str(version))
        return CatalogText(*rows[0])

    async def close(self) -> None:
        """Answer what is asked, then let go of the connections."""
        await self._questions.close()
        for lane in (*self._lanes, self._reading):
            await lane.close()


class _Lane:
    """One connection, used by one question at a time."""

    def __init__(self, conninfo: str, timeout: float) -> None:
        options = psycopg.conninfo.conninfo_to_dict(conninfo)["options"]
        self._conninfo = psycopg.conninfo.make_conninfo(conninfo, options=f"{options} {_PLAN}")
        self._timeout = timeout
        self._connection: AsyncConnection | None = None
        self._sql = named_queries("licet.store", "sql/answers.sql")

    async def resolve(self, questions: Sequence[Question]) -> Sequence[Resolution]:
        """Answer a batch in order."""
        asked_at = time.monotonic()
        rows = await self.run(
            "check",
            {
                "users": [question.user for question in questions],
                "domains": [question.domain for question in questions],
                "customers": [question.customer.customer_id if question.customer else None for question in questions],
                "aliases": [question.customer.alias if question.customer else None for question in questions],
            },
        )
        groups: list[list[tuple[Any, ...]]] = [[] for _ in questions]
        for row in rows:
            groups[row[2] - 1].append(row)
        return [_resolution(question, group, asked_at) for question, group in zip(questions, groups, strict=True)]

    async def run(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run a query; once more over a new connection where the old one had broken."""
        fresh = self._connection is None
        try:
            return await self._attempt(query, parameters)
        except psycopg.OperationalError as error:
            broken = self._connection is None or self._connection.closed
            await self.close()
            if fresh or not broken or isinstance(error, psycopg.errors.QueryCanceled | _Hung):
                raise Unavailable(f"the store does not answer: {error}") from error
        try:
            return await self._attempt(query, parameters)
        except psycopg.OperationalError as error:
            await self.close()
            raise Unavailable(f"the store does not answer: {error}") from error

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _attempt(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = await self._connect()
        connection = self._connection
        running = asyncio.ensure_future(_fetch(connection, self._sql[query], parameters))
        done, _ = await asyncio.wait({running}, timeout=self._timeout)
        if done:
            return running.result()
        _cut(connection)
        await asyncio.wait({running})
        running.exception()
        raise _Hung(f"nothing within {self._timeout:g} s")

    async def _connect(self) -> AsyncConnection:
        try:
            async with asyncio.timeout(self._timeout):
                return await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        except TimeoutError as error:
            raise _Hung(f"no connection within {self._timeout:g} s") from error


class _Hung(psycopg.OperationalError):
    """The server said nothing in time; asking again would only wait as long."""


async def _fetch(connection: AsyncConnection, query: bytes, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(query, parameters, prepare=True)
        return await cursor.fetchall()


def _cut(connection: AsyncConnection) -> None:
    """End a connection whose server hangs: its waiting query fails at once, where a cancel would wait as well."""
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _resolution(question: Question, rows: Sequence[tuple[Any, ...]], asked_at: float) -> Resolution:
    revision, version, _, named = rows[0][:4]
    licenses: dict[str, list[Held]] = {}
    for row in rows:
        if row[4] is None or (question.customer is not None and row[4] != named):
            continue
        held = licenses.setdefault(row[4], [])
        if row[5] is not None:
            held.append(Held(row[5], row[6], _STATUS[row[7]], *row[8:]))
    return Resolution(
        revision=revision,
        catalog_version=version,
        named=named,
        belongs=rows[0][4] is not None,
        customers=tuple(Known(customer_id, held) for customer_id, held in licenses.items()),
        asked_at=asked_at,
    )
