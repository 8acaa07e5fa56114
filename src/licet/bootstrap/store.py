"""The store: its address, its schema, and the clock of all rooms."""

import contextlib
import datetime as dt
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from licet.domain.brake import Brake
from licet.domain.errors import ConfigurationError
from licet.settings import Settings
from licet.store.migrate import Migration, check_migrated, default_catalog, grant, migrate


def utc_now() -> dt.datetime:
    """Tell the time; the one clock that is handed to the rooms."""
    return dt.datetime.now(dt.UTC)


def build_brake(settings: Settings) -> Brake:
    """Build the safety brake's threshold."""
    return Brake(
        on=settings.brake == "on",
        window=dt.timedelta(seconds=settings.brake_window_s),
        most=settings.brake_ends,
        share=settings.brake_share / 100,
        floor=settings.brake_floor,
        hold=dt.timedelta(hours=settings.brake_hold_h),
    )


def migrate_store(
    settings: Settings, role: str | None = None, begins: Callable[[int, int], None] = lambda *_: None
) -> list[Migration]:
    """Bring the database to this release's schema, for services that run as ``role``; returns what was applied.

    Raises ``ConfigurationError``.
    """
    with _told(settings):
        done = migrate(settings.database_url, _initial_catalog(settings.catalog), begins)
        if role is not None:
            grant(settings.database_url, role)
        return done


def _initial_catalog(path: str | None) -> str:
    """Read the catalog of a store that has none: the file that the setting names, or the seed's."""
    if path is None:
        return default_catalog()
    try:
        return pathlib.Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"LICET_CATALOG: {error}") from error


def check_address(settings: Settings) -> Mapping[str, Any]:
    """Return the store's address in parts. Raises ``ConfigurationError`` where none is set or it cannot be read."""
    shape = "postgresql://user:password@host/database"
    if not settings.database_url:
        raise ConfigurationError(f"LICET_DATABASE_URL: found nothing, expected {shape}")
    try:
        return conninfo_to_dict(settings.database_url)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"LICET_DATABASE_URL: found a value that cannot be read, expected {shape}") from error


def check_store(settings: Settings) -> None:
    """Raise ``ConfigurationError`` where the store is not set, cannot be reached or is not at this release's schema."""
    with _told(settings):
        check_migrated(settings.database_url)


@contextlib.contextmanager
def _told(settings: Settings) -> Iterator[None]:
    """Turn what the driver says of a wrong address into words that name it, without the password."""
    where = check_address(settings)
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        todo = f"as the owner, run `licet migrate --grant-to {where.get('user', 'ROLE')}`"
        raise ConfigurationError(f"PostgreSQL: {str(error).strip()}: {todo}") from error
    except psycopg.OperationalError as error:
        address = f"{where.get('host', 'localhost')}:{where.get('port', 5432)}, database {where.get('dbname', '')}"
        raise ConfigurationError(f"PostgreSQL at {address} cannot be used: {str(error).strip()}") from error
