"""Why, and when: decisions of other moments, what stands behind a decision, and what happened to a customer.

All of it comes from the store, never from the snapshot: whoever asks why wants the truth, not speed.
"""

import datetime as dt
from collections.abc import Callable

import msgspec

from licet.answer.catalogs import Catalogs
from licet.answer.check import decide_for, question_of
from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.ports import CustomerReader, HistoryReader
from licet.answer.reading import customer_view, license_view
from licet.answer.sentences import sentences
from licet.answer.snapshot import Resolution
from licet.answer.views import CustomerView, LicenseView, Listing
from licet.domain.catalog import Catalog
from licet.domain.decision import Asked, Decision, Freshness, Known
from licet.domain.errors import NotFound
from licet.domain.ids import CustomerRef
from licet.store.past import (
    Behind,
    CatalogLine,
    DeliveryLine,
    Event,
    HeldThen,
    RecordLine,
    Then,
    When,
)
from licet.store.values import LicenseRow, OverrideRow, Question


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Decision → license or override → SKU → feature → delivery → Salesforce record → account manager.

    ``opened_by_catalog``: the version that opened the license; ``delivery`` is then the one that wrote the flag.
    Without a license ``delivery`` is the last that said something of it. ``record`` is as it is now, the delivery's
    ``fields`` as they stood.
    """

    license: LicenseView | None
    override: OverrideRow | None
    sku: str | None
    feature: str
    granted_by: list[str]
    catalog_version: int
    opened_by_catalog: CatalogLine | None
    delivery: DeliveryLine | None
    record: RecordLine | None
    account_manager: str | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with what stands behind it. ``sentences``: what is so, why, and whom to ask.

    ``as_of`` and ``known_at`` are the moment; ``decision.revision`` is what was believed. For a question about a time,
    ``then`` is what was answered at that time, ``now_believed`` what is now known to have been right, and ``agree``
    whether both allow the same.
    """

    decision: Decision
    sentences: list[str]
    lineage: Lineage
    as_of: dt.datetime | None
    known_at: dt.datetime | None
    then: Decision | None = None
    now_believed: Decision | None = None
    agree: bool | None = None


class _Answer(msgspec.Struct, frozen=True):
    decision: Decision
    then: Then
    catalog: Catalog


class History:
    """Answers from the store. Every method raises ``Unavailable``, and ``InvalidInput`` for what cannot be read."""

    def __init__(
        self,
        reader: HistoryReader,
        customers: CustomerReader,
        catalogs: Catalogs,
        *,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._reader = reader
        self._customers = customers
        self._catalogs = catalogs
        self._clock = clock

    async def check(self, asked: Asked, when: When) -> Decision:
        """Decide at a moment."""
        return (await self._answer(asked, when)).decision

    async def explain(self, asked: Asked, when: When) -> Explanation:
        """Decide at a moment, and say why; for a time in the past also whether it was answered so."""
        answer = await self._answer(asked, when)
        lineage, said = await self._lineage(answer)
        then = believed = agree = None
        if when.as_of is not None:
            then = await self.check(asked, When(when.as_of, when.as_of))
            believed = await self.check(asked, When(when.as_of)) if when.known_at is not None else answer.decision
            agree = _said(then) == _said(believed)
        return Explanation(
            decision=answer.decision,
            sentences=said,
            lineage=lineage,
            as_of=when.as_of,
            known_at=answer.then.recorded_at,
            then=then,
            now_believed=believed,
            agree=agree,
        )

    async def why(self, decision: Decision) -> list[str]:
        """Return the three sentences of a decision that was made just now, whoever it was made for."""
        ref = CustomerRef.parse(decision.customer) if decision.customer is not None else None
        then = await self._reader.held(Question(None, None, ref), When(), self._clock())
        return (await self._lineage(_Answer(decision, then, await self._catalogs.at(then.catalog_version))))[1]

    async def customer(self, customer: str, when: When) -> CustomerView:
        """Return a customer at a moment; name, people and unmapped fields are the record's present ones.

        Raises ``NotFound`` for a customer that Licet did not know then.
        """
        ref = CustomerRef.parse(customer)
        then = await self._reader.held(Question(None, None, ref), when, self._clock())
        if then.named is None:
            raise NotFound(f"no customer was known as {customer} then")
        row = await self._customers.get(CustomerRef(customer_id=then.named))
        names = await self._reader.names(row.customer_id, then)
        row = msgspec.structs.replace(
            row,
            revision=then.revision,
            catalog_version=then.catalog_version,
            licenses=then.customers[0].licenses,
            overrides=then.customers[0].overrides,
            aliases=names.aliases,
            domains=names.domains,
            users=names.users,
            user_count=names.user_count,
        )
        return customer_view(row, await self._catalogs.at(then.catalog_version), then.clock)

    async def timeline(self, customer: str, cursor: str | None, limit: int) -> Listing[Event]:
        """Return what happened to a customer, newest first. Raises ``NotFound``."""
        before = read_cursor(cursor, tuple[int, str, str])
        row = await self._customers.get(CustomerRef.parse(customer))
        page = await self._reader.timeline(row.customer_id, before, limit)
        last = page.rows[-1] if page.more else None
        return Listing(page.rows, write_cursor((last.revision, last.kind, last.id)) if last is not None else None)

    async def _answer(self, asked: Asked, when: When) -> _Answer:
        question = question_of(asked)
        then = await self._reader.held(question, when, self._clock())
        catalog = await self._catalogs.at(then.catalog_version)
        found = Resolution(named=then.named, belongs=then.belongs, customers=(), looked=())
        fresh = Freshness(then.revision, 0, None)
        known = [_known(one) for one in then.customers]
        return _Answer(decide_for(asked, question, found, known, catalog, then.clock, fresh), then, catalog)

    async def _lineage(self, answer: _Answer) -> tuple[Lineage, list[str]]:
        decision, then, catalog = answer.decision, answer.then, answer.catalog
        skus = [sku for sku, _ in catalog.grants.get(decision.feature, ())]
        customer = decision.customer or (then.customers[0].customer_id if then.customers else None)
        held = next((one for one in then.customers if one.customer_id == customer), None)
        license_ = _license_of(decision, held)
        override = _override_of(decision, held)
        flag = catalog.skus.get(decision.sku or next(iter(skus), ""))
        behind: Behind | None = None
        if customer is not None:
            behind = await self._reader.behind(
                customer,
                then.revision,
                flag.flag if flag is not None else None,
                delivery=license_.opened_by_delivery if license_ is not None else None,
                catalog=license_.opened_by_catalog if license_ is not None else None,
            )
        record = behind.record if behind is not None else None
        lineage = Lineage(
            license=license_view(license_) if license_ is not None else None,
            override=override,
            sku=decision.sku,
            feature=decision.feature,
            granted_by=skus,
            catalog_version=catalog.version,
            opened_by_catalog=behind.catalog if behind is not None else None,
            delivery=behind.delivery if behind is not None else None,
            record=record,
            account_manager=record.account_manager if record is not None else None,
        )
        feature = catalog.features.get(decision.feature)
        title = (feature.title if feature is not None else "") or decision.feature
        return lineage, sentences(decision, behind, override, skus, title)


def _known(held: HeldThen) -> Known:
    """Return a customer as a decision sees it."""
    return Known(held.customer_id, [row.held() for row in held.licenses], [row.stands() for row in held.overrides])


def _license_of(decision: Decision, held: HeldThen | None) -> LicenseRow | None:
    rows = held.licenses if held is not None else ()
    return next((row for row in rows if row.license_id == decision.license_id), None)


def _override_of(decision: Decision, held: HeldThen | None) -> OverrideRow | None:
    rows = held.overrides if held is not None else ()
    return next((row for row in rows if row.override_id == decision.override_id), None)


def _said(decision: Decision) -> tuple[object, ...]:
    return decision.allowed, decision.reason, decision.value
