"""What the room needs of others: a progress bar, and for whoever reads overrides, the store."""

import uuid
from typing import Protocol, runtime_checkable

from licet.domain.ids import CustomerRef
from licet.store.overrides import Stored
from licet.store.values import Page


class Bar(Protocol):
    """A progress bar: a step begins, with its whole; so much more of it is done."""

    def begins(self, what: str, whole: int) -> None:
        """Begin a step."""
        ...

    def told(self, more: int) -> None:
        """Go on."""
        ...


@runtime_checkable  # the framework checks what it injects
class OverrideReader(Protocol):
    """Overrides, for people to read."""

    async def get(self, override_id: uuid.UUID) -> Stored:
        """Return an override as it is, or as it was ended. Raises ``NotFound``."""
        ...

    async def search(self, ref: CustomerRef | None, after: uuid.UUID | None, limit: int) -> Page:
        """Return current overrides by id, of one customer where it is named. Raises ``NotFound`` (customer)."""
        ...
