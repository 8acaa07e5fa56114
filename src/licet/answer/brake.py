"""How the safety brake stands, for people: its numbers, and a page of licenses."""

import enum
from typing import Protocol

import msgspec

from licet.answer.cursors import read_cursor, write_cursor
from licet.store.values import BrakeLine, BrakeStatus, Page


class Which(enum.StrEnum):
    """Which licenses: those held, or those that ended before any was held."""

    HELD = "held"
    ENDED = "ended"


class BrakeReader(Protocol):
    """The store's side. Both raise ``Unavailable``."""

    async def status(self) -> BrakeStatus:
        """Return the numbers."""
        ...

    async def lines(self, which: str, after: tuple[str, str] | None, limit: int) -> Page:
        """Return licenses by customer and SKU, from beyond the one given."""
        ...


class BrakeView(msgspec.Struct, frozen=True):
    """How the brake stands, and a page of the licenses asked for."""

    status: BrakeStatus
    items: list[BrakeLine]
    next: str | None


async def show_brake(reader: BrakeReader, which: Which, cursor: str | None, limit: int) -> BrakeView:
    """Show it. Raises ``InvalidInput`` (the cursor) and ``Unavailable``."""
    page = await reader.lines(which.value, read_cursor(cursor, tuple[str, str]), limit)
    last = page.rows[-1] if page.more else None
    following = write_cursor((last.customer, last.sku)) if last is not None else None
    return BrakeView(await reader.status(), list(page.rows), following)
