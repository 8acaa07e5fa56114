"""Licenses and overrides with a start and an end, and time that passes without waiting."""

import asyncio
import datetime as dt
import uuid
from typing import Any

from licet.domain.ids import CustomerRef
from licet.domain.principal import Actor
from licet.store.migrate import default_catalog
from licet.store.overrides import PostgresOverrides, Stored, Wanted
from licet.store.pools import writer_pool
from support.world import reader, rows

ADA, BOB = Actor("ada"), Actor("bob")

# Each SKU of the default catalog with fields for its start and end, and a feature that SKU2 grants as well.
TERMED = default_catalog()
for _sku in ("SKU1", "SKU2", "SKU3"):
    TERMED = TERMED.replace(f'flag = "{_sku}"', f'flag = "{_sku}"\nfrom = "{_sku}From"\nuntil = "{_sku}Until"')
# The same, with a grace of a day after SKU1.
GRACED = TERMED.replace('flag = "SKU1"', 'flag = "SKU1"\ngrace_days = 1')


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def text(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def licensed(customer_id: str, sku: str = "SKU1", **terms: dt.datetime | None) -> dict[str, Any]:
    """A change that grants a SKU; ``starts`` and ``ends`` are its terms."""
    fields = {"starts": f"{sku}From", "ends": f"{sku}Until"}
    said = {fields[name]: text(moment) if moment else None for name, moment in terms.items()}
    return {"Id": customer_id, "SignedTos": True, sku: True, **said}


def shift(url: str, hours: float) -> None:
    """Let all that was written so far have been written so many hours earlier, the clock's last look included."""
    with reader(url) as connection:
        ago = {"ago": dt.timedelta(hours=hours)}
        connection.execute("UPDATE revision_log SET recorded_at = recorded_at - %(ago)s", ago)
        connection.execute("UPDATE clock_position SET at = at - %(ago)s", ago)


def time_events(url: str) -> list[tuple[str, str, dt.datetime]]:
    """What time made: (customer, boundary, moment), in that order of moments."""
    found = rows(url, "SELECT customer_id, boundary, at FROM time_event ORDER BY at, customer_id, boundary")
    return [(row["customer_id"], row["boundary"], row["at"]) for row in found]


def put_override(
    url: str, customer_id: str, starts: dt.datetime, ends: dt.datetime, before: Stored | None = None, **said: Any
) -> Stored:
    """Make an override as a person does, or put this in the place of ``before``."""

    async def put() -> Stored:
        async with writer_pool(url, 1) as pool:
            wanted = Wanted(
                **({"sku": "SKU2", "effect": "grant", "reason": "case 1"} | said), starts_at=starts, ends_at=ends
            )
            id_ = before.override_id if before is not None else uuid.uuid4()
            match = before.version if before is not None else None
            ref = CustomerRef(customer_id=customer_id)
            return (await PostgresOverrides(pool).put(id_, ref, wanted, ADA, match, lambda _: None))[0]

    return asyncio.run(put())


def end_override(url: str, one: Stored) -> None:
    """End an override early, as another person does."""

    async def end() -> None:
        async with writer_pool(url, 1) as pool:
            await PostgresOverrides(pool).end(one.override_id, BOB, "over", one.version, lambda _: None)

    asyncio.run(end())
