"""Licenses with a start and an end, and time that passes without waiting."""

import datetime as dt
from typing import Any

from licet.store.migrate import default_catalog
from support.world import reader, rows

# Each SKU of the default catalog with fields for its start and end, and a feature that SKU2 grants as well.
TERMED = default_catalog()
for _sku in ("SKU1", "SKU2", "SKU3"):
    TERMED = TERMED.replace(f'flag = "{_sku}"', f'flag = "{_sku}"\nfrom = "{_sku}From"\nuntil = "{_sku}Until"')


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
