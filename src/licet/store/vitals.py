"""What a check-up reads of the store."""

import datetime as dt
import time
from collections.abc import Mapping

import msgspec
import psycopg

from licet.database import Connection, named_queries, reader_conninfo


class Reached(msgspec.Struct, frozen=True):
    """The database answers: its version (180006 is 18.6), the round trip and its clock against ours, in seconds."""

    server_version: int
    round_trip_s: float
    ahead_s: float


class Vitals(msgspec.Struct, frozen=True):
    """The store at a glance. ``catalog_reached``: the catalog has reached all customers; ``letters`` are open ones."""

    catalog_version: int
    catalog_reached: bool
    keys: int
    may_post: bool
    stopped: int
    letters: int
    customers: int
    spooling: bool


def reach(url: str) -> Reached:
    """Connect and compare clocks. Raises ``psycopg.OperationalError``."""
    with _connect(url) as connection:
        connection.execute("SELECT 1")
        began, before = time.perf_counter(), time.time()
        row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        took = time.perf_counter() - began
        theirs = float(row[0]) if row is not None else 0.0
        return Reached(connection.info.server_version, took, theirs - before - took / 2)


def read_vitals(url: str) -> Vitals:
    """Read the store's own. The schema must be this release's."""
    with _connect(url) as connection:
        row = connection.execute(named_queries("licet.store", "sql/vitals.sql")["vitals"]).fetchone()
        if row is None:
            raise LookupError("the store has no catalog")
        return Vitals(*row)


def read_progress(url: str, log: str) -> Mapping[int, tuple[int, dt.datetime | None]]:
    """Return each partition's next offset to apply, and when its worker last said that all before was applied."""
    with _connect(url) as connection:
        rows = connection.execute(named_queries("licet.store", "sql/vitals.sql")["progress"], {"log": log})
        return {partition: (offset, caught_up) for partition, offset, caught_up in rows}


def _connect(url: str) -> Connection:
    return psycopg.connect(reader_conninfo(url, application="licet doctor"), autocommit=True)
