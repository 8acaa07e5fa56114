"""Worlds to ask about: as the wire writes them, and as the service's own rules read them."""

import datetime as dt
import uuid
from typing import Any

from hypothesis import strategies as st

from licet.domain.catalog import Catalog, read_catalog
from licet.domain.decision import Asked, Decision, Effect, Freshness, Held, Known, Override, decide
from licet.domain.ids import email_domain
from licet.domain.license import Status

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
FEATURES = ["mail", "boxes", "strict", "lenient", "teleport"]
SERVICE_CATALOG: Catalog = read_catalog(
    """
[features.mail]
[features.boxes]
[features.strict]
[features.lenient]
[skus.SKU1]
flag = "a"
grace_days = 2
grants = { mail = true, boxes = 100, strict = true }
[skus.SKU2]
flag = "b"
grants = { mail = true, boxes = 500 }
[skus.SKU3]
flag = "c"
grace_days = 1
grants = { lenient = true }
"""
)
CUSTOMERS = ["acme", "umbrella", "0015g00000AbCdEAAV"]
ALIASES = ["tenant:1", "tenant:2", "crm:x"]
USERS = ["ada@acme.example", "bob", "eve@umbrella.example"]
DOMAINS = ["acme.example", "umbrella.example"]

times = st.none() | st.integers(-3, 3).map(lambda days: NOW + days * DAY)
licenses = st.lists(
    st.tuples(
        st.sampled_from(["SKU1", "SKU2", "SKU3"]),
        st.sampled_from(["active", "active", "ended", "void", *(status.value for status in Status)]),
        times,
        times,
        st.none() | st.integers(0, 9),
        st.uuids(version=4).map(str),
        st.integers(-5, 0).map(lambda days: NOW + days * DAY),
    ).map(list),
    max_size=3,
    unique_by=lambda one: one[0],
)
overrides = st.lists(
    st.tuples(
        st.sampled_from(["SKU1", "SKU2", "feature:mail", "feature:boxes", "feature:lenient"]),
        st.sampled_from(list(Effect)).map(str),
        st.integers(-2, 0).map(lambda days: NOW + days * DAY),
        st.integers(0, 2).map(lambda days: NOW + days * DAY),
        st.none() | st.integers(1, 900),
        st.uuids(version=4).map(str),
        st.integers(-5, 0).map(lambda days: NOW + days * DAY),
    ).map(list),
    max_size=3,
)
held = st.tuples(licenses, st.just([]) | overrides).map(lambda both: [*both[0], *both[1]])
customers = st.fixed_dictionaries({"c": st.sampled_from(CUSTOMERS), "l": held})
gone = st.sampled_from(CUSTOMERS).map(lambda name: {"c": name, "gone": True})
members = st.lists(st.sampled_from(CUSTOMERS), unique=True)
users = st.fixed_dictionaries({"u": st.sampled_from(USERS), "c": members})
domains = st.fixed_dictionaries({"d": st.sampled_from(DOMAINS), "c": members})


class World:
    """What the service knows, in plain dicts; a record replaces what was there."""

    def __init__(self) -> None:
        self.customers: dict[str, Any] = {}
        self.users: dict[str, list[str]] = {}
        self.domains: dict[str, list[str]] = {}

    def put(self, record: dict[str, Any]) -> None:
        if "u" in record:
            self.users[record["u"]] = record["c"]
        elif "d" in record:
            self.domains[record["d"]] = record["c"]
        elif record.get("gone"):
            self.customers.pop(record["c"], None)
        else:
            self.customers[record["c"]] = record["l"]

    def decide(
        self, aliases: dict[str, str], feature: str, customer: str | None, user: str | None, at: int = NOW
    ) -> Decision:
        """Answer as the service does: resolve as its SQL says, decide by its own function."""
        named = aliases.get(customer or "", customer)
        belongs = [one for one in self._belongs(user) if one in self.customers]
        fresh, now = Freshness(1, 0, None), EPOCH + dt.timedelta(microseconds=at)
        if customer is not None and named not in self.customers and (user is None or belongs):
            nobody = decide(Asked(feature, None, customer), (), SERVICE_CATALOG, now, fresh)
            return Decision(**{name: getattr(nobody, name) for name in nobody.__struct_fields__} | {"user": user})
        found = [named] if user is None else [one for one in belongs if customer is None or one == named]
        known = [_known(one, self.customers[one]) for one in found if one is not None]
        return decide(Asked(feature, user, customer), known, SERVICE_CATALOG, now, fresh)

    def _belongs(self, user: str | None) -> list[str]:
        if user is None:
            return []
        return self.users.get(user) or self.domains.get(email_domain(user) or "", [])


def _known(customer_id: str, rows: list[list[Any]]) -> Known:
    forced = [
        Override(what, uuid.UUID(id_), Effect(effect), *_times(starts, ends, value, since))
        for what, effect, starts, ends, value, id_, since in rows
        if effect in set(Effect)
    ]
    return Known(customer_id, [_held(*row) for row in rows if row[1] not in set(Effect)], forced)


def _times(starts: int, ends: int, value: float | None, since: int) -> Any:
    return EPOCH + _delta(starts), EPOCH + _delta(ends), value, EPOCH + _delta(since)


def _held(
    sku: str, status: str, starts: int | None, ends: int | None, quantity: int | None, license_id: str, since: int
) -> Held:
    lapsed, kept = status != "void", Status.ENDED if status == "void" else Status(status)
    times = (_time(starts), _time(ends))
    return Held(sku, uuid.UUID(license_id), kept, *times, quantity, EPOCH + _delta(since), lapsed)


def _time(micros: int | None) -> dt.datetime | None:
    return None if micros is None else EPOCH + _delta(micros)


def _delta(micros: int) -> dt.timedelta:
    return dt.timedelta(microseconds=micros)
