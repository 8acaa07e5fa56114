"""Sessions of the store for code that blocks: lent for one act, or kept from one to the next."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from licet.database import Connection, reader_conninfo
from licet.domain.errors import Unavailable


@contextmanager
def answering() -> Iterator[None]:
    """Say ``Unavailable`` where the store does not answer."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise Unavailable(f"the store does not answer: {error}") from error


@contextmanager
def session(conninfo: str) -> Iterator[Connection]:
    """Lend a session. Raises ``Unavailable``."""
    with answering(), psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


@contextmanager
def moment(url: str, application: str, timeout_ms: int = 0, **more: str) -> Iterator[Connection]:
    """Lend one moment of the store, to read as long as it takes. Raises ``Unavailable``."""
    conninfo = reader_conninfo(url, application=application, timeout_ms=timeout_ms, **more)
    with answering(), psycopg.connect(conninfo) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


class Kept:
    """A session that is made when it is needed and made anew when it broke."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None

    def close(self) -> None:
        """Let go of the session, and of what it holds."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, connection: Connection) -> None:
        """Make a new session ready."""

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        with answering():
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self._conninfo, autocommit=True)
                    self._prepare(self._connection)
                yield self._connection
            except psycopg.Error:
                self.close()
                raise
