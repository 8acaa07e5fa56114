"""What every PostgreSQL adapter shares: named SQL out of files, and connections with time limits.

It stands below ``queue`` and ``store``, which do not meet (docs/decisions/0002).
"""

import contextlib
import functools
import importlib.resources
import re
import socket
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

# A writer that is paused or cut off is thrown out after this long, so that it holds the one write lock no longer.
WRITER_TIMEOUT_MS = 2000
_HEAD = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def read_sql(package: str, file: str) -> str:
    """Return the text of an SQL file that lies in a package."""
    return importlib.resources.files(package).joinpath(file).read_text("utf-8")


@functools.cache
def named_queries(package: str, file: str) -> dict[str, bytes]:
    """Read the queries of a file: each follows a line ``-- name: …`` and a comment that says what it is for."""
    parts = _HEAD.split(read_sql(package, file))
    return {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def filled(query: bytes, **parts: sql.Composable) -> bytes:
    """Put tables, columns and literals in the place of a query's ``{name}``."""
    return sql.SQL(query.decode()).format(**parts).as_bytes()


def reader_conninfo(url: str, *, application: str, timeout_ms: int = 5000, **more: str) -> str:
    """Build the settings of a connection that reads: UTC, a statement limit, the process's name for the operator."""
    return _conninfo(url, application, statement_timeout=timeout_ms, **more)


def writer_conninfo(url: str, *, application: str, **more: str) -> str:
    """Build the settings of a connection that writes.

    One that stands still in its transaction is ended after ``WRITER_TIMEOUT_MS``. A statement, and so a wait for a
    lock, has half as long again: who waits for a writer that stands still must not give up just as the lock falls free.
    """
    patience = WRITER_TIMEOUT_MS * 3 // 2
    return _conninfo(
        url,
        application,
        statement_timeout=patience,
        lock_timeout=patience,
        idle_in_transaction_session_timeout=WRITER_TIMEOUT_MS,
        **more,
    )


def _conninfo(url: str, application: str, **limits: int | str) -> str:
    options = " ".join(f"-c {name}={value}" for name, value in {**limits, "timezone": "UTC"}.items())
    return make_conninfo(
        url,
        application_name=application,
        options=options,
        connect_timeout=3,
        keepalives_idle=5,
        tcp_user_timeout=5000,
    )


Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]


def cut(connection: Connection | AsyncConnection) -> None:
    """End a session from this side, for a server that does not answer: a cancelled query would wait for it."""
    if not connection.closed:
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
