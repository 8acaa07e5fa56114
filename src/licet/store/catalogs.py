"""Catalog versions in the store."""

from typing import Any

import psycopg

from licet.domain.catalog import Catalog, read_catalog

_CURRENT = "SELECT version, document FROM catalog_version WHERE upper_inf(recorded)"
_BEGIN = """
WITH at AS (SELECT greatest(clock_timestamp(), (SELECT max(recorded_at) FROM revision_log)) AS now),
     next AS (UPDATE revision SET revision = revision + 1 RETURNING revision, epoch)
INSERT INTO revision_log (revision, epoch, tag, recorded_at)
SELECT revision, epoch, ('x' || encode(uuid_send(gen_random_uuid()), 'hex'))::bit(64)::bigint, at.now FROM next, at
RETURNING revision
"""


def insert_version(connection: psycopg.Connection[Any], catalog: Catalog, author: str) -> int:
    """Make ``catalog`` the current version, in the caller's transaction; returns the revision."""
    row = connection.execute(_BEGIN).fetchone()
    assert row is not None  # noqa: S101 the singleton row of the schema
    revision: int = row[0]
    connection.execute(
        "UPDATE catalog_version SET recorded = int8range(lower(recorded), %s), valid = tstzrange(lower(valid), now()) "
        "WHERE upper_inf(recorded)",
        (revision,),
    )
    connection.execute(
        "INSERT INTO catalog_version (version, document, author, valid, recorded) "
        "VALUES (%s, %s, %s, tstzrange(now(), NULL), int8range(%s, NULL))",
        (catalog.version, catalog.text, author, revision),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO sku VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                (catalog.version, name, sku.title, sku.flag, sku.from_, sku.until, sku.quantity)
                for name, sku in catalog.skus.items()
            ],
        )
        cursor.executemany(
            "INSERT INTO feature VALUES (%s, %s, %s)",
            [(catalog.version, name, feature.title) for name, feature in catalog.features.items()],
        )
        cursor.executemany(
            "INSERT INTO sku_feature VALUES (%s, %s, %s, %s)",
            [
                (catalog.version, name, feature, None if value is True else value)
                for name, sku in catalog.skus.items()
                for feature, value in sku.grants.items()
            ],
        )
    connection.execute("INSERT INTO change_feed VALUES (%s, 'catalog', %s)", (revision, str(catalog.version)))
    return revision


def find_current(connection: psycopg.Connection[Any], known: Catalog | None) -> Catalog:
    """Return the current catalog; the caller's own copy where it still is current."""
    row = connection.execute(_CURRENT).fetchone()
    if row is None:
        raise LookupError("the store has no catalog: run `licet migrate`")
    version, document = row
    return known if known is not None and known.version == version else read_catalog(document, version)
