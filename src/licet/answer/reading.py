"""The read API's thinking: rows of the store become what people and applications are shown."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from licet.answer.catalogs import Catalogs
from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.ports import CustomerReader, Ledger
from licet.answer.views import (
    ChangeView,
    CustomerLine,
    CustomerView,
    DeliveryView,
    FeatureState,
    FeatureView,
    FoundLine,
    Glance,
    Grant,
    LicenseView,
    Listing,
    NameView,
    PeopleView,
    SkuState,
    SkuView,
)
from licet.domain import fields as read
from licet.domain.catalog import Catalog
from licet.domain.decision import Asked, Freshness, Known, decide
from licet.domain.ids import CustomerRef
from licet.domain.license import Status, state_of
from licet.store.values import CustomerFound, CustomerRow, DeliveryRow, LicenseRow, Name, Sender

NOT_CONSUMED = "not consumed or never received"


class Reading:
    """Answers the read API. A customer is named by its id (15 or 18 characters, or verbatim) or an alias.

    Every method raises ``Unavailable`` where the store does not answer, ``InvalidInput`` for what cannot be read, and
    ``NotFound`` for a customer that Licet does not know.
    """

    def __init__(
        self, customers: CustomerReader, ledger: Ledger, catalogs: Catalogs, *, clock: Callable[[], dt.datetime]
    ) -> None:
        self._customers = customers
        self._ledger = ledger
        self._catalogs = catalogs
        self._clock = clock

    async def customer(self, customer: str) -> CustomerView:
        """Return a customer with all that Licet knows of it, as of one revision."""
        row = await self._customers.get(CustomerRef.parse(customer))
        return customer_view(row, await self._catalogs.at(row.catalog_version), self._clock())

    async def customers(self, name: str | None, cursor: str | None, limit: int) -> Listing[CustomerLine]:
        """Return the customers whose name holds the text in any case, by name."""
        after = read_cursor(cursor, tuple[str | None, str])
        page = await self._customers.search(name or None, after, limit)
        items = [
            CustomerLine(
                id=row.customer_id,
                name=row.name,
                account_manager=row.account_manager,
                deleted=row.deleted,
                updated_at=row.updated_at,
            )
            for row in page.rows
        ]
        last = page.rows[-1] if page.more else None
        return Listing(items, write_cursor((last.key, last.customer_id)) if last is not None else None)

    async def find(self, text: str, limit: int) -> tuple[Sequence[FoundLine], bool]:
        """Return customers that a text leads to, the surest first, and whether there are more."""
        page = await self._customers.find(text, limit)
        catalog, now = self._catalogs.current(), self._clock()
        return [_found(row, catalog, now) for row in page.rows], page.more

    async def licenses(self, customer: str, cursor: str | None, limit: int) -> Listing[LicenseView]:
        """Return all rows of a customer's licenses with both times, the one written last first."""
        page = await self._customers.licenses(CustomerRef.parse(customer), read_cursor(cursor, int), limit)
        items = [license_view(row) for row in page.rows]
        return Listing(items, write_cursor(page.rows[-1].row) if page.more else None)

    async def users(self, customer: str, cursor: str | None, limit: int) -> Listing[NameView]:
        """Return the users that are members of a customer, by id."""
        page = await self._customers.users(CustomerRef.parse(customer), read_cursor(cursor, str), limit)
        return Listing([_name(row) for row in page.rows], write_cursor(page.rows[-1].name) if page.more else None)

    async def change(self, event_id: str, customer: str | None) -> ChangeView:
        """Return what became of a change; of one customer where the id stands for several."""
        found = await self._ledger.change(event_id, CustomerRef.parse(customer) if customer is not None else None)
        latest = found.latest
        return ChangeView(
            event_id=event_id,
            outcome=latest.outcome if latest else None,
            reason=latest.reason if latest else None,
            rule=latest.rule if latest else None,
            revision=latest.revision if latest else None,
            customer=latest.customer_id if latest else None,
            note=None if latest else NOT_CONSUMED,
            deliveries=[_delivery(row) for row in found.deliveries],
        )

    async def sources(self) -> Listing[Sender]:
        """Return all senders, by name. A field that the catalog has learnt since is left out."""
        mapped = self._catalogs.current().mapped

        def unmapped(sender: Sender) -> dict[str, dt.datetime]:
            return {field: seen for field, seen in sorted(sender.unmapped.items()) if field not in mapped}

        senders = await self._ledger.senders()
        return Listing([msgspec.structs.replace(one, unmapped=unmapped(one)) for one in senders])

    def skus(self) -> Listing[SkuView]:
        """Return the SKUs of the current catalog."""
        return Listing(
            [
                SkuView(
                    sku=name,
                    title=sku.title,
                    flag=sku.flag,
                    from_=sku.from_,
                    until=sku.until,
                    quantity=sku.quantity,
                    grants=sku.grants,
                )
                for name, sku in self._catalogs.current().skus.items()
            ]
        )

    def numbers(self) -> frozenset[str]:
        """Return the features that a SKU of the current catalog grants with a number; all others are on or off."""
        granted = self._catalogs.current().grants
        return frozenset(name for name, by in granted.items() if any(value is not True for _, value in by))

    def features(self) -> Listing[FeatureView]:
        """Return the features of the current catalog."""
        catalog = self._catalogs.current()
        return Listing(
            [
                FeatureView(
                    feature=name,
                    title=feature.title,
                    when_stale=feature.when_stale,
                    granted_by=[Grant(sku, value) for sku, value in catalog.grants[name]],
                )
                for name, feature in catalog.features.items()
            ]
        )


def customer_view(row: CustomerRow, catalog: Catalog, now: dt.datetime) -> CustomerView:
    """Say all of a customer."""
    terms_field = catalog.source.terms_field
    return CustomerView(
        id=row.customer_id,
        name=row.name,
        deleted=row.deleted,
        terms_signed=read.flag(row.fields, terms_field) if terms_field else None,
        people=PeopleView(
            account_manager=row.account_manager,
            sales_engineer=row.sales_engineer,
            users=[_name(user) for user in row.users],
            user_count=row.user_count,
        ),
        aliases=[_name(alias) for alias in row.aliases],
        domains=[_name(domain) for domain in row.domains],
        skus=_skus(row, catalog, now),
        features=_features(row, catalog, now),
        overrides=row.overrides,
        licenses=[license_view(license_) for license_ in row.licenses],
        unmapped={name: field.value for name, field in sorted(row.fields.items()) if name not in catalog.roles},
        created_at=row.created_at,
        updated_at=row.updated_at,
        catalog_version=catalog.version,
        revision=row.revision,
    )


def _found(row: CustomerFound, catalog: Catalog, now: dt.datetime) -> FoundLine:
    has = []
    for one in row.licenses:
        if one.status is not None and one.status is not Status.ENDED:
            sku = catalog.skus.get(one.sku or "")
            has.append(
                Glance((sku and sku.title) or str(one.sku), state_of(one.status, one.starts_at, one.ends_at, now))
            )
    for one in row.overrides:
        if one.starts_at is not None and one.ends_at is not None and one.starts_at <= now < one.ends_at:
            sku, feature = catalog.skus.get(one.sku or ""), catalog.features.get(one.feature or "")
            title = (sku and sku.title) or (feature and feature.title) or one.sku or str(one.feature)
            has.append(Glance(title, "trial" if one.kind == "trial" else f"{one.effect}ed"))
    return FoundLine(
        id=row.customer_id,
        name=row.name,
        account_manager=row.account_manager,
        deleted=row.deleted,
        by=row.by,
        matched=row.matched,
        has=has,
    )


def _skus(row: CustomerRow, catalog: Catalog, now: dt.datetime) -> list[SkuState]:
    held = {license_.sku: license_ for license_ in row.licenses}
    states = []
    for name in [*catalog.skus, *(name for name in held if name not in catalog.skus)]:
        sku, license_ = catalog.skus.get(name), held.get(name)
        states.append(
            SkuState(
                sku=name,
                title=sku.title if sku else "",
                state=_state(license_, now),
                license_id=license_.license_id if license_ else None,
                quantity=license_.quantity if license_ else None,
                since=license_.valid_from if license_ else None,
                until=license_.ends_at if license_ else None,
                grants=list(sku.grants) if sku else [],
                in_catalog=sku is not None,
            )
        )
    return states


def _state(license_: LicenseRow | None, now: dt.datetime) -> str:
    if license_ is None:
        return "not_licensed"
    return state_of(license_.status, license_.starts_at, license_.ends_at, now)


def _features(row: CustomerRow, catalog: Catalog, now: dt.datetime) -> list[FeatureState]:
    known = Known(row.customer_id, [one.held() for one in row.licenses], [one.stands() for one in row.overrides])
    fresh = Freshness(row.revision, 0, None)
    decisions = [
        (feature, decide(Asked(name, None, row.customer_id), [known], catalog, now, fresh))
        for name, feature in catalog.features.items()
    ]
    return [
        FeatureState(
            feature=decision.feature,
            title=feature.title,
            allowed=decision.allowed,
            reason=decision.reason,
            message=decision.message,
            value=decision.value,
            sku=decision.sku,
            license_id=decision.license_id,
            override_id=decision.override_id,
            since=decision.since,
            until=decision.until,
        )
        for feature, decision in decisions
    ]


def license_view(row: LicenseRow) -> LicenseView:
    """Show a row of a license."""
    return LicenseView(**_fields_of(row, "row", "lapsed"))


def _delivery(row: DeliveryRow) -> DeliveryView:
    return DeliveryView(customer=row.customer_id, **_fields_of(row, "customer_id"))


def _fields_of(row: LicenseRow | DeliveryRow, *without: str) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__ if name not in without}


def _name(row: Name) -> NameView:
    return NameView(row.name, row.origin, row.author, row.since)
