"""What the operator's pages are wired to, beside the rooms that the API has by name."""

import enum
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from licet.answer.audit import AuditSearch
from licet.answer.cursors import read_cursor, write_cursor
from licet.answer.views import Listing
from licet.consume.brake import BrakeDesk
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.store.ports import StoredKey
from licet.store.standing import BrakeView, Pulse, Told
from licet.store.values import Page

T = TypeVar("T")
E = TypeVar("E", bound=enum.Enum)
# Below which number, how many. Raises ``Unavailable``.
Versions = Callable[[int | None, int], Awaitable[Page]]


class Desks(msgspec.Struct, frozen=True, kw_only=True):
    """Those of ``edge.operations``, and what only pages show; all raise ``Unavailable``.

    ``age_s`` is that of this process's snapshot, ``stale_after_s`` when it is too old. ``open_door``: anyone may post.
    """

    versions: Versions
    audit: AuditSearch
    reconciliations: Versions
    brake: Callable[[bool, str, int], Awaitable[BrakeView]]
    brake_desk: BrakeDesk
    keys: Callable[[], Awaitable[Sequence[StoredKey]]]
    pulse: Callable[[], Awaitable[Pulse]]
    deliveries: Callable[[int, int], Awaitable[Sequence[Told]]]
    held: Callable[[], Awaitable[int]]
    age_s: Callable[[], float]
    stale_after_s: float
    open_door: bool


def chosen(field: str, text: str, kind: type[E]) -> E | None:
    """Read one of an enumeration's values, None where nothing is chosen. Raises ``InvalidInput``."""
    try:
        return kind(text) if text else None
    except ValueError as error:
        raise InvalidInput.of(Fault(field, shown(text), ", ".join(str(one.value) for one in kind))) from error


def whole(field: str, text: str) -> int:
    """Read a number of an address, 0 where there is none. Raises ``InvalidInput``."""
    if not re.fullmatch("[0-9]{0,18}", text, re.ASCII):
        raise InvalidInput.of(Fault(field, shown(text), "a whole number from 0"))
    return int(text or 0)


def slice_of(rows: Sequence[T], name: Callable[[T], str], cursor: str, limit: int) -> Listing[T]:
    """Return a page of rows that are all at hand, in the order of a name that none of them shares."""
    after = read_cursor(cursor or None, str)
    left = sorted((one for one in rows if after is None or name(one) > after), key=name)
    return Listing(left[:limit], write_cursor(name(left[limit - 1])) if len(left) > limit else None)
