"""The decision: what the SDK answers. The rules are the service's own; the wire brings the facts."""

import datetime as dt
import uuid
from typing import Any

import msgspec

from licet_sdk.pages import ROW, Page

Value = bool | int | float

# In this order they are looked for, and of several the nearest to "yes" is told. The last two are the SDK's own.
MESSAGES = {
    "unknown_feature": "This feature does not exist.",
    "unknown_user": "We do not know which company this user belongs to.",
    "unknown_customer": "We do not know this company.",
    "blocked": "This feature is blocked for your company at the moment.",
    "override": "This feature is open to you for a limited time.",
    "licensed": "This feature is included in your plan.",
    "grace": "Your license for this feature has ended; it stays open for a short time.",
    "terms_not_signed": "This feature starts once the terms of service are signed.",
    "suspended": "This feature is suspended because the terms of service were withdrawn.",
    "not_yet_valid": "Your license for this feature has not started yet.",
    "expired": "Your license for this feature has expired.",
    "revoked": "Your license for this feature has ended.",
    "not_licensed": "This feature is not part of your plan.",
    "stale": "Your plan cannot be confirmed at the moment.",
    "default": "We cannot look up your plan at the moment.",
    "unavailable": "We cannot look up your plan at the moment. Please try again later.",
}
OVERRIDING = frozenset({"blocked", "override"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer. ``message`` may be shown to an end user; ``until`` is when the answer ends by itself.

    ``revision`` is the last write that it includes, ``age_ms`` the time since that was known to be the newest, and
    ``lag_ms`` how far the service was behind its queue. A decision is true where it allows.
    """

    allowed: bool
    reason: str
    message: str
    value: Value | None
    sku: str | None
    until: dt.datetime | None
    _customer: str | None = msgspec.field(name="customer")
    user: str | None
    feature: str
    revision: int = 0
    _age_ms: float = msgspec.field(default=0, name="age_ms")
    lag_ms: int | None = None
    # Whose it is, id and times are made when somebody looks: making them would double the time of a check.
    _page: Page | None = None
    _row_number: int = 0
    _at: int = -1
    _floor: int = 0

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def customer(self) -> str | None:
        """The id of the customer asked about, or the name asked by where it is unknown."""
        if self._customer is not None or self._page is None:
            return self._customer
        return next(iter(self._page.names(self._row_number)), None)

    @property
    def age_ms(self) -> int:
        """The time since ``revision`` was known to be the newest."""
        return int(self._age_ms)

    @property
    def license_id(self) -> str | None:
        """The license that the answer rests on."""
        return self._id() if self.reason not in OVERRIDING else None

    @property
    def override_id(self) -> str | None:
        """The override that the answer rests on."""
        return self._id() if self.reason in OVERRIDING else None

    def _id(self) -> str | None:
        return str(uuid.UUID(bytes=self._row()[0])) if self._at >= 0 else None

    @property
    def since(self) -> dt.datetime | None:
        """When the state that the answer names began."""
        return moment(max(self._row()[1], self._floor)) if self._at >= 0 else None

    def _row(self) -> tuple[bytes, int]:
        license_id, since = ROW.unpack_from(self._page.rows(self._row_number), self._at) if self._page else (b"", 0)
        return license_id, since

    def as_dict(self) -> dict[str, Any]:
        """Return all members by name, times as datetimes."""
        names = [name for name in self.__struct_encode_fields__ if not name.startswith("_")]
        return {name: getattr(self, name) for name in (*names, "license_id", "override_id", "since")}

    def __repr__(self) -> str:
        return f"Decision({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle no other customer's records."""
        page = self._page and self._page.alone(self._row_number)
        return Decision, msgspec.structs.astuple(msgspec.structs.replace(self, _page=page, _row_number=0))


def refusal(reason: str, feature: str, customer: str | None, user: str | None) -> Decision:
    """Refuse without a license behind it."""
    return Decision(False, reason, MESSAGES[reason], None, None, None, customer, user, feature)


def moment(micros: int) -> dt.datetime:
    """Return the time that the wire writes as microseconds since 1970."""
    return _EPOCH + dt.timedelta(microseconds=micros)


def micros_of(time: dt.datetime) -> int:
    """Return a time as the wire writes it."""
    return (time - _EPOCH) // dt.timedelta(microseconds=1)
