"""What the room needs of the store. Its methods raise ``Unavailable`` where the store does not answer."""

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from licet.domain.ids import CustomerRef
from licet.store.past import Behind, NamesThen, Then, When
from licet.store.records import Delta, Load, Position
from licet.store.values import CatalogText, ChangeRow, CustomerRow, Page, Question, Sender


class Feed(Protocol):
    """The change feed's reading side. It blocks: call it from a thread, one at a time."""

    def load(self) -> AbstractContextManager[Load]:
        """Lend all that a decision reads, at one moment."""
        ...

    def since(self, position: Position, limit: int = ...) -> Delta | None:
        """Return what changed after a position up to now, all as it is now; None where only a new load helps.

        That is where the store does not know the position (a restored backup, a pruned log), or where more than
        ``limit`` customers, users and domains changed.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Return once a writer has committed since the last call, or after the time."""
        ...

    def cut(self) -> None:
        """Make what another thread waits for here fail at once."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class CatalogReader(Protocol):
    """The versions of the catalog."""

    async def catalog(self, version: int | None = None) -> CatalogText:
        """Return a version, or the current one. Raises ``LookupError`` where there is none."""
        ...


class CustomerReader(Protocol):
    """Customers and what belongs to them."""

    async def get(self, ref: CustomerRef) -> CustomerRow:
        """Return a customer with all that belongs to it, in one snapshot. Raises ``NotFound``."""
        ...

    async def search(self, name: str | None, after: tuple[str | None, str] | None, limit: int) -> Page:
        """Return customers whose name holds the text, ordered by (name in lower case, id); the nameless last."""
        ...

    async def find(self, text: str, limit: int) -> Page:
        """Return customers that a text leads to, the surest first: by id, alias, user, domain or name."""
        ...

    async def licenses(self, ref: CustomerRef, before: int | None, limit: int) -> Page:
        """Return a customer's license rows, the one written last first. Raises ``NotFound``."""
        ...

    async def users(self, ref: CustomerRef, after: str | None, limit: int) -> Page:
        """Return a customer's users, by id. Raises ``NotFound``."""
        ...


class Deliveries(Protocol):
    """The deliveries of a change."""

    async def change(self, event_id: str, customer: CustomerRef | None) -> ChangeRow:
        """Return an event's deliveries, of one customer where it is named. Raises ``NotFound`` (alias)."""
        ...


class Ledger(Deliveries, Protocol):
    """What was received, and from whom."""

    async def senders(self) -> Sequence[Sender]:
        """Return what the doors saw of senders, by name."""
        ...


class HistoryReader(Protocol):
    """Other moments than the present."""

    async def held(self, question: Question, when: When, now: dt.datetime) -> Then:
        """Return whom a question is about at a moment, and what they held. Raises ``InvalidInput``."""
        ...

    async def names(self, customer_id: str, then: Then) -> NamesThen:
        """Return what a customer was called at the moment of an answer, and its users."""
        ...

    async def behind(
        self, customer_id: str, revision: int, flag: str | None, *, delivery: int | None, catalog: int | None
    ) -> Behind:
        """Return what stands behind an answer at a revision: the delivery named, or the one that wrote the flag."""
        ...

    async def timeline(self, customer_id: str, before: tuple[int, str, str] | None, limit: int) -> Page:
        """Return what happened to a customer, newest first, from beyond the (revision, kind, id) given."""
        ...
