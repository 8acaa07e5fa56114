"""What the outbox tells: whom revisions touched, what was believed of them then, and why."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from licet.domain.decision import Held
from licet.store.records import Position


class Believed(msgspec.Struct, frozen=True, gc=False):
    """Something of a customer, and the revisions in which it was believed; ``to`` is exclusive, None: still."""

    customer_id: str
    first: int
    to: int | None

    def at(self, revision: int) -> bool:
        """Tell whether it was believed at a revision."""
        return self.first <= revision and (self.to is None or revision < self.to)


class LicenseThen(Believed, frozen=True, gc=False):
    """An open license row. ``catalog``: the version that opened it, None where a delivery did."""

    held: Held
    catalog: int | None


class AliasThen(Believed, frozen=True, gc=False):
    """An alias; where it is not ``open``, the author is who took it."""

    alias: str
    open: bool
    origin: str
    author: str


class Applied(msgspec.Struct, frozen=True, gc=False):
    """A change that a revision applied."""

    customer_id: str
    revision: int
    event_id: str
    source: str
    source_time: dt.datetime | None
    received_at: dt.datetime | None


class Passed(msgspec.Struct, frozen=True, gc=False):
    """A boundary that a revision told of."""

    customer_id: str
    revision: int
    kind: str
    id: uuid.UUID
    boundary: str
    at: dt.datetime


class Touch(msgspec.Struct, frozen=True, gc=False):
    """One customer that one revision touched. ``gone``: the customer was erased since."""

    position: Position
    customer_id: str
    at: dt.datetime
    gone: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What to tell next, read at one moment. ``after`` is exclusive, ``upto`` inclusive; all in order of revision.

    ``behind_s``: the age of the first revision that is not told. ``catalogs``: versions not known before, each with its
    text and first revision.
    """

    epoch: uuid.UUID
    head: int
    after: int
    upto: int
    behind_s: float
    last_sequence: int = 0
    touches: Sequence[Touch] = ()
    licenses: Sequence[LicenseThen] = ()
    aliases: Sequence[AliasThen] = ()
    applied: Sequence[Applied] = ()
    passed: Sequence[Passed] = ()
    catalogs: Sequence[tuple[int, str, int]] = ()
