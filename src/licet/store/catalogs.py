"""Catalog versions in the store."""

from typing import Any

import psycopg
from msgspec.structs import asdict

from licet.database import named_queries
from licet.domain.catalog import Catalog, read_catalog
from licet.store.values import CatalogVersion


def begin(connection: psycopg.Connection[Any]) -> tuple[int, Any]:
    """Take the write lock in the caller's transaction; returns the revision and its time."""
    sql = named_queries("licet.store", "sql/projection.sql")
    taken = connection.execute(sql["begin"], {"deliveries": 0}).fetchone()
    logged = connection.execute(sql["log_revision"]).fetchone()
    assert taken is not None and logged is not None  # noqa: S101, PT018 the singleton row of the schema
    return taken[0], logged[0]


def insert_version(connection: psycopg.Connection[Any], catalog: Catalog, author: str, revision: int, at: Any) -> None:
    """Make ``catalog`` the current version at a revision, in the transaction that ``begin`` began."""
    sql = named_queries("licet.store", "sql/catalogs.sql")
    version = {"version": catalog.version, "revision": revision, "at": at}
    connection.execute(sql["close_version"], version)
    connection.execute(sql["insert_version"], {**version, "document": catalog.text, "author": author})
    for name, sku in catalog.skus.items():
        connection.execute(sql["insert_sku"], version | asdict(sku) | {"sku": name})
    for name, feature in catalog.features.items():
        connection.execute(sql["insert_feature"], {**version, "feature": name, "title": feature.title})
    for name, sku in catalog.skus.items():
        for granted, value in sku.grants.items():
            grant = {"sku": name, "feature": granted, "value": None if value is True else value}
            connection.execute(sql["insert_grant"], {**version, **grant})
    told = {"revision": revision, "kind": "catalog", "subject": str(catalog.version)}
    connection.execute(named_queries("licet.store", "sql/projection.sql")["write_feed"], told)


def find_version(connection: psycopg.Connection[Any]) -> CatalogVersion:
    """Return the current version. Raises ``LookupError`` where the store has none."""
    sql = named_queries("licet.store", "sql/catalogs.sql")
    row = connection.execute(sql["versions"], {"before": None, "limit": 1}).fetchone()
    if row is None:
        raise LookupError("the store has no catalog: run `licet migrate`")
    return CatalogVersion(*row)


def find_current(connection: psycopg.Connection[Any], known: Catalog | None) -> Catalog:
    """Return the current catalog; the caller's own copy where it still is current."""
    current = find_version(connection)
    if known is not None and known.version == current.version:
        return known
    return read_catalog(current.document, current.version)
