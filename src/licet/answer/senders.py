"""Who sends, as the doors saw it."""

import datetime as dt
from collections.abc import Sequence
from typing import Protocol

import msgspec

from licet.answer.catalogs import Catalogs
from licet.answer.views import Listing
from licet.store.values import Sender


class SenderReader(Protocol):
    """What the store knows of senders."""

    async def all(self) -> Sequence[Sender]:
        """Return all, by name. Raises ``Unavailable`` where the store does not answer."""
        ...


class UnmappedField(msgspec.Struct, frozen=True):
    """A field that a sender sends and the catalog gives no meaning. It is kept and shown with the customer."""

    field: str
    last_seen_at: dt.datetime


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """A sender, some seconds late. ``source`` is ``null`` for posts whose sender could not be told.

    ``last_refused_for`` is a problem code, or what was wrong with a signature or key (``unknown``, ``timestamp``, …).
    """

    source: str | None
    last_received_at: dt.datetime | None
    last_refused_at: dt.datetime | None
    last_refused_for: str | None
    unmapped: Sequence[UnmappedField]


class Senders:
    """Answers who sends. A field that the catalog has learnt since is left out."""

    def __init__(self, store: SenderReader, catalogs: Catalogs) -> None:
        self._store = store
        self._catalogs = catalogs

    async def all(self) -> Listing[SourceView]:
        """Return all senders, by name."""
        mapped = self._catalogs.current().mapped
        return Listing(
            [
                SourceView(
                    source=one.source or None,
                    last_received_at=one.received_at,
                    last_refused_at=one.refused_at,
                    last_refused_for=one.refused_for,
                    unmapped=[
                        UnmappedField(field, seen)
                        for field, seen in sorted(one.unmapped.items())
                        if field not in mapped
                    ],
                )
                for one in await self._store.all()
            ]
        )
