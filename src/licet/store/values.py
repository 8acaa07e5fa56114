"""What the store returns to the rooms that answer: frozen rows, times in UTC."""

import datetime as dt
import enum
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from licet.domain.decision import Effect, Held, Override
from licet.domain.errors import Fault
from licet.domain.fields import Field
from licet.domain.ids import CustomerRef
from licet.domain.license import Status
from licet.domain.principal import Actor


class Question(msgspec.Struct, frozen=True, gc=False):
    """Whose licenses are asked for: a user (and the domain of its address), a customer, or a user within a customer."""

    user: str | None
    domain: str | None
    customer: CustomerRef | None


class CatalogText(msgspec.Struct, frozen=True):
    """A version of the catalog as it was written."""

    version: int
    document: str


class Name(msgspec.Struct, frozen=True):
    """An alias, a domain or a user of a customer. ``origin``: ``source`` (a Salesforce field) or ``person``."""

    name: str
    origin: str
    author: str
    since: dt.datetime


class LicenseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a license's history: a state, when it was true (``valid``), when it was believed (``recorded``)."""

    row: int
    license_id: uuid.UUID
    sku: str
    status: Status
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None
    quantity: int | None
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    recorded_from: int
    recorded_to: int | None
    opened_by_delivery: int | None
    opened_by_catalog: int | None
    closed_by_delivery: int | None
    closed_by_catalog: int | None
    lapsed: bool = True

    def held(self) -> Held:
        """Return the row as a decision sees it."""
        times = (self.starts_at, self.ends_at)
        return Held(self.sku, self.license_id, self.status, *times, self.quantity, self.valid_from, self.lapsed)


class OverrideRow(msgspec.Struct, frozen=True, kw_only=True):
    """A current override: of a SKU or of a feature, in ``[starts_at, ends_at)``."""

    override_id: uuid.UUID
    sku: str | None
    feature: str | None
    effect: str
    kind: str
    value: float | None
    starts_at: dt.datetime
    ends_at: dt.datetime
    reason: str
    author: str
    since: dt.datetime

    def stands(self) -> Override:
        """Return the override as a decision sees it."""
        what = self.sku if self.sku is not None else f"feature:{self.feature}"
        effect = Effect.GRANTED if self.effect == "grant" else Effect.BLOCKED
        return Override(what, self.override_id, effect, self.starts_at, self.ends_at, self.value, self.since)


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with all that belongs to it, in one snapshot. ``users`` are the first hundred of ``user_count``."""

    revision: int
    catalog_version: int
    customer_id: str
    name: str | None
    account_manager: str | None
    sales_engineer: str | None
    deleted: bool
    fields: dict[str, Field]
    created_at: dt.datetime
    updated_at: dt.datetime
    licenses: list[LicenseRow]
    overrides: list[OverrideRow]
    aliases: list[Name]
    domains: list[Name]
    users: list[Name]
    user_count: int


class CustomerBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the customer list. ``key`` is what the list is ordered by: the name in lower case."""

    customer_id: str
    name: str | None
    account_manager: str | None
    deleted: bool
    updated_at: dt.datetime
    key: str | None


class HeldBrief(msgspec.Struct, frozen=True, kw_only=True):
    """A license or an override (which has an ``effect``) at a glance."""

    sku: str | None
    feature: str | None = None
    status: Status | None = None
    effect: str | None = None
    kind: str | None = None
    starts_at: dt.datetime | None
    ends_at: dt.datetime | None


class CustomerFound(msgspec.Struct, frozen=True, kw_only=True):
    """A customer that a search found. ``by``: id, alias, user, domain or name; ``matched`` is which of them."""

    customer_id: str
    name: str | None
    account_manager: str | None
    deleted: bool
    by: str
    matched: str
    licenses: list[HeldBrief]
    overrides: list[HeldBrief]


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger: an arrival of a change, and how it ended in which revision."""

    log: str
    partition: int
    offset: int
    sequence: int
    revision: int
    source: str | None
    customer_id: str | None
    received_at: dt.datetime | None
    source_time: dt.datetime | None
    recorded_at: dt.datetime | None
    outcome: str
    reason: str | None
    rule: str
    replay_of: int | None
    faults: list[Fault] | None


class ChangeRow(msgspec.Struct, frozen=True):
    """A change by its deliveries: ``latest`` is the one that its outcome comes from, None where there is none."""

    latest: DeliveryRow | None
    deliveries: list[DeliveryRow]


class Page(msgspec.Struct, frozen=True):
    """Rows of a list, and whether more follow."""

    rows: Sequence[Any]
    more: bool

    @classmethod
    def of(cls, found: Sequence[Any], limit: int) -> "Page":
        """Make a page of rows of which one more than the limit was asked for."""
        return cls(found[:limit], more=len(found) > limit)


class Written(msgspec.Struct, frozen=True):
    """What a change of the directory came to: the customer, the revision that includes it, whether it wrote."""

    customer_id: str
    revision: int
    changed: bool


class NameKind(enum.Enum):
    """What a person may say of a customer. The value is how people call it."""

    MEMBER = "user"
    DOMAIN = "domain"
    ALIAS = "alias"


class CatalogVersion(msgspec.Struct, frozen=True):
    """A version of the catalog, who applied it, when, in which revision, and whether it reached every customer."""

    version: int
    document: str
    author: str
    applied_at: dt.datetime
    revision: int
    reached: bool


class Action(enum.StrEnum):
    """Everything that the audit knows people do; see docs/reference/audit.md."""

    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    USER_PUT = "user.put"
    USER_DELETE = "user.delete"
    DOMAIN_PUT = "domain.put"
    DOMAIN_DELETE = "domain.delete"
    ALIAS_PUT = "alias.put"
    ALIAS_DELETE = "alias.delete"
    CATALOG_APPLY = "catalog.apply"
    LETTER_REPLAY = "letter.replay"
    LETTER_DROP = "letter.drop"
    PARTITION_RESUME = "partition.resume"
    PARTITION_ACCEPT = "partition.accept"
    PRUNE = "prune"
    OVERRIDE_PUT = "override.put"
    OVERRIDE_END = "override.end"
    CUSTOMER_RESTORE = "customer.restore"
    CUSTOMER_ERASE = "customer.erase"
    RECONCILE_REPAIR = "reconcile.repair"
    BRAKE_RELEASE = "brake.release"
    BRAKE_RESTORE = "brake.restore"
    CONSOLE_LINK = "console.link"
    CONSOLE_END = "console.end"


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did to ``subject``. ``before`` and ``after`` are its states, None where it was or is not there."""

    action: Action
    subject: str
    by: Actor
    customer_id: str | None = None
    before: Any = None
    after: Any = None
    reason: str | None = None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did. ``actor`` is a key's name and id, or a user of the operator's machine.

    ``via``: api, cli, page or service. ``before`` and ``after`` are states of ``subject``, null where there is none.
    """

    entry: int
    at: dt.datetime
    actor: str
    via: str
    action: str
    customer: str | None
    subject: str
    before: Any
    after: Any
    reason: str | None


class Reconciliation(msgspec.Struct, frozen=True):
    """What a comparison with a full export came to: at which revision, how many customers were off, by kind.

    ``excluded`` are rows that the catalog keeps out; they are not compared. ``repaired`` are the customers of whom a
    repair was published, ``held_back`` those of whom one was not.
    """

    reconciliation: int
    at: dt.datetime
    actor: str
    file: str
    revision: int
    rows: int
    excluded: int
    missing: int
    extra: int
    different: int
    unknown_sku: int
    repaired: int
    held_back: int

    @property
    def drifted(self) -> bool:
        """Whether any customer was off."""
        return bool(self.missing or self.extra or self.different or self.unknown_sku)


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """What doors saw of a sender: when it was last heard, when and why refused, and fields that nothing maps.

    ``refused_for`` is a problem code, or what was wrong with a signature or key (``unknown``, ``timestamp``, …).
    ``unmapped`` says when each such field was last seen. The empty source is whoever could not be told.
    """

    source: str
    received_at: dt.datetime | None = None
    refused_at: dt.datetime | None = None
    refused_for: str | None = None
    unmapped: dict[str, dt.datetime] = {}


class DoorLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A change that a known sender posted and that cannot be read; ``headers`` are those it would have had."""

    reason: str
    faults: Sequence[Fault]
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    at: dt.datetime


class PartitionStop(msgspec.Struct, frozen=True):
    """A partition that no worker reads. ``next_offset`` is where it stands, None where it never had an offset."""

    log: str
    partition: int
    reason: str
    detail: str
    next_offset: int | None
    stopped_at: dt.datetime


class LetterState(enum.StrEnum):
    """What became of a dead letter. ``replaying``: appended again, and not yet judged."""

    OPEN = "open"
    REPLAYING = "replaying"
    REPLAYED = "replayed"
    DROPPED = "dropped"


class LetterLine(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter. ``origin`` is ``log`` (a delivery at ``log``/``partition``/``offset``) or ``door`` (a bad post).

    ``attempts`` counts how often it was judged; ``last_outcome`` is that of its last replay.
    """

    letter: int
    state: LetterState
    reason: str
    origin: str
    log: str | None
    partition: int | None
    offset: int | None
    sequence: int
    source: str | None
    event_id: str | None
    customer: str | None
    received_at: dt.datetime | None
    recorded_at: dt.datetime
    attempts: int
    last_outcome: str | None


class LetterAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did: ``replay`` (it was appended at ``partition``/``offset``) or ``drop`` (with a reason)."""

    action: str
    author: str
    at: dt.datetime
    run: uuid.UUID
    reason: str | None
    partition: int | None
    offset: int | None


class LetterReplay(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that replayed a letter, and how it ended."""

    log: str
    partition: int
    offset: int
    sequence: int
    outcome: str
    reason: str | None
    revision: int


class Letter(LetterLine, frozen=True, kw_only=True):
    """A dead letter with its raw bytes (base64; ``text`` where the value is UTF-8), its faults and its fate."""

    faults: list[Fault]
    key: bytes | None
    value: bytes | None
    text: str | None = None
    headers: list[tuple[str, bytes]]
    actions: list[LetterAction]
    replays: list[LetterReplay]
