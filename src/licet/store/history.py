"""The store's memory: what was true at a time as it was believed at another, what stands behind it, what happened."""

import datetime as dt

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import CustomerRef
from licet.store.past import Behind, Event, NamesThen, Then, When
from licet.store.pools import Reader
from licet.store.values import Page, Question

_then = msgspec.json.Decoder(Then)
_names = msgspec.json.Decoder(NamesThen)
_behind = msgspec.json.Decoder(Behind)
_events = msgspec.json.Decoder(list[Event])


class PostgresHistory(Reader):
    """Reads the past; see ``answer.ports.HistoryReader``."""

    files = ("history",)

    async def held(self, question: Question, when: When, now: dt.datetime) -> Then:
        """Return whom a question is about at a moment, and what they held. Raises ``InvalidInput`` (no such revision).

        A ``known_at`` in the future is the present; a revision that is not written yet is refused.
        """
        ref = question.customer or CustomerRef()
        revision = when.known_at if isinstance(when.known_at, int) else None
        known_at = when.known_at if revision is None else None
        whom = {"customer_id": ref.customer_id, "alias": ref.alias, "user": question.user, "domain": question.domain}
        at = {"as_of": when.as_of, "known_at": known_at, "revision": revision, "now": now}
        then = _then.decode(await self._one("held", **whom, **at))
        if revision is not None and revision > then.head:
            raise InvalidInput.of(Fault("known_at", f"revision {revision}", f"a time, or a revision up to {then.head}"))
        return then

    async def names(self, customer_id: str, then: Then) -> NamesThen:
        """Return what a customer was called at the moment of an answer, and its users."""
        asked = {"customer_id": customer_id, "as_of": then.as_of, "revision": then.revision}
        return _names.decode(await self._one("names", **asked))

    async def behind(
        self, customer_id: str, revision: int, flag: str | None, *, delivery: int | None, catalog: int | None
    ) -> Behind:
        """Return what stands behind an answer at a revision: the delivery named, or the one that wrote the flag."""
        asked = {"customer_id": customer_id, "revision": revision, "flag": flag}
        return _behind.decode(await self._one("lineage", **asked, delivery=delivery, catalog=catalog))

    async def timeline(self, customer_id: str, before: tuple[int, str, str] | None, limit: int) -> Page:
        """Return what happened to a customer, newest first by (revision, kind, id), from beyond the place given."""
        revision, kind, name = before or (None, None, None)
        asked = {"customer_id": customer_id, "revision": revision, "kind": kind, "id": name}
        rows = _events.decode(await self._one("timeline", **asked, limit=limit + 1))
        return Page.of(rows, limit)
