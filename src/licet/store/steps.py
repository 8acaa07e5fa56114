"""What the outbox tells: whom revisions touched, what was believed of them then, and why."""

import datetime as dt
import uuid
from collections.abc import Sequence

import msgspec

from licet.domain.decision import Held
from licet.store.records import Position
from licet.store.values import OverrideRow


class Believed(msgspec.Struct, frozen=True):
    """What was believed of a customer at a revision."""

    licenses: list[Held]
    overrides: list[OverrideRow]
    aliases: list[str]


class Touch(msgspec.Struct, frozen=True):
    """One customer that one revision touched, as it was believed just before and from there on.

    ``gone``: the customer was erased then, or has been since. ``cause`` is JSON; ``first`` the first boundary where
    time is the cause. ``catalog`` and ``former`` are versions: that of the revision, and the one to hold ``before``
    against.
    """

    position: Position
    at: dt.datetime
    customer_id: str
    gone: bool
    cause: msgspec.Raw
    first: dt.datetime | None
    catalog: int
    former: int
    before: Believed
    after: Believed


class Step(msgspec.Struct, frozen=True):
    """What to tell next: the revisions beyond ``after`` up to ``upto``, of ``head`` that there are.

    ``behind_s``: the age of the first one. ``sequence``: the last delivery of what was told, and once the step is
    read, of ``upto``. ``catalogs``: versions not known before, each with its text.
    """

    epoch: uuid.UUID
    head: int
    after: int
    sequence: int
    upto: int
    behind_s: float
    touches: Sequence[Touch] = ()
    catalogs: Sequence[tuple[int, str]] = ()
