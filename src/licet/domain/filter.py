"""The filter: an ordered table of named rules. The first that matches gives a delivery its one outcome.

The rule's name reaches the log, the metric, the stored outcome and the console.
"""

import datetime as dt
import enum
from collections.abc import Callable, Sequence

import msgspec

from licet.domain.catalog import Catalog
from licet.domain.change import CustomerChange
from licet.domain.fields import Written, microseconds

CLOCK_TOLERANCE = dt.timedelta(days=1)


class Kind(enum.StrEnum):
    """How a delivery ends. Every delivery ends as exactly one of these."""

    APPLIED = "applied"
    IGNORED = "ignored"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class Outcome(msgspec.Struct, frozen=True):
    """How a delivery ended: the kind, its reason (none for ``superseded`` and what a change applied), the rule."""

    kind: Kind
    reason: str | None
    rule: str

    def __str__(self) -> str:
        return f"{self.kind}({self.reason})" if self.reason else str(self.kind)


class Earlier(msgspec.Struct, frozen=True, gc=False):
    """An earlier delivery of the same (source, event id, customer)."""

    payload_hash: bytes
    dead: bool


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that a rule may look at.

    ``deleted_at`` is the source time of the stored deletion in microseconds (None: not known); ``written`` is what
    the change would do to the fields. ``original_known``: not a replay, or one whose original the ledger has.
    """

    change: CustomerChange
    catalog: Catalog
    earlier: Sequence[Earlier]
    replay: bool
    original_known: bool
    deleted: bool
    deleted_at: int | None
    written: Written
    new_customer: bool
    organization: str | None


def _wrong_organization(facts: Facts) -> bool:
    return facts.organization is not None and facts.change.organization_id != facts.organization


def _source_time_in_future(facts: Facts) -> bool:
    time = facts.change.source_time
    return time is not None and time > facts.change.received_at + CLOCK_TOLERANCE


def _duplicate(facts: Facts) -> bool:
    same = facts.change.payload_hash
    return not facts.replay and any(not e.dead and e.payload_hash == same for e in facts.earlier)


def _event_id_reused(facts: Facts) -> bool:
    return not facts.replay and any(not e.dead for e in facts.earlier)


def _excluded(facts: Facts) -> bool:
    return any(rule.matches(dict(facts.change.fields)) for rule in facts.catalog.exclusions)


def _tombstoned(facts: Facts) -> bool:
    if not facts.deleted:
        return False
    time = facts.change.source_time
    newer = time is not None and (facts.deleted_at is None or microseconds(time) > facts.deleted_at)
    return not (facts.change.is_deleted is False and newer)


def _superseded(facts: Facts) -> bool:
    return facts.written.carried > 0 and facts.written.late == facts.written.carried


def _unchanged(facts: Facts) -> bool:
    return not facts.new_customer and not facts.written.changed


RULES: tuple[tuple[Outcome, Callable[[Facts], bool]], ...] = (
    (Outcome(Kind.DEAD, "wrong_organization", "wrong_organization"), _wrong_organization),
    (Outcome(Kind.DEAD, "unknown_original", "unknown_original"), lambda facts: not facts.original_known),
    (Outcome(Kind.DEAD, "source_time_in_future", "source_time_in_future"), _source_time_in_future),
    (Outcome(Kind.IGNORED, "duplicate", "duplicate"), _duplicate),
    (Outcome(Kind.DEAD, "event_id_reused", "event_id_reused"), _event_id_reused),
    (Outcome(Kind.IGNORED, "excluded", "excluded"), _excluded),
    (Outcome(Kind.IGNORED, "tombstoned", "tombstoned"), _tombstoned),
    (Outcome(Kind.SUPERSEDED, None, "superseded"), _superseded),
    (Outcome(Kind.IGNORED, "unchanged", "unchanged"), _unchanged),
    (Outcome(Kind.APPLIED, None, "applied"), lambda _: True),
)
OUTCOMES: tuple[Outcome, ...] = tuple(outcome for outcome, _ in RULES)

# What ends a delivery before any rule can look at it; see consume/read.py.
UNREADABLE = Outcome(Kind.DEAD, "unreadable", "unreadable")
INAPPLICABLE = Outcome(Kind.DEAD, "inapplicable", "inapplicable")

# What a person did to a customer; the ledger keeps it as a delivery of the log PEOPLE.
RESTORED = Outcome(Kind.APPLIED, "restored", "restored")
ERASED = Outcome(Kind.APPLIED, "erased", "erased")
PEOPLE = "people"


def judge(facts: Facts) -> Outcome:
    """Return the outcome of the first rule that matches."""
    for outcome, matches in RULES:
        if matches(facts):
            return outcome
    raise AssertionError("the last rule matches everything")
