"""A customer's fields: each with the time and the place of its last write, so that order is kept per field.

The rules (design: order, per field):

* A change with a source time writes each field whose stored time is not newer.
* A change without one writes in log order and leaves the stored times.
* A replay leaves the fields written since its original delivery, unless both writes are timed and its time is newer.
* A repair leaves the fields written since the export was compared, whatever their times; deletion is about them all.
* Null clears a field, but a flag: an absent or null flag means unknown, never false.
"""

import datetime as dt
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from licet.domain.catalog import Catalog, Role

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


# gc=False here and on the other values that a fold makes by the thousand: they form no cycles, and without it the
# collector took a third of the fold's time.
class Field(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last write of one field. ``time``: microseconds since 1970; ``place``: the delivery's sequence number."""

    value: Any
    place: int
    time: int | None
    timed: bool


Fields = Mapping[str, Field]


class Written(msgspec.Struct, frozen=True, gc=False):
    """What a change did to a customer's fields.

    ``fields`` are all of them afterwards; ``changed`` names those with another value; ``carried`` counts the fields
    the change spoke of, ``late`` those that a newer write already held.
    """

    fields: Fields
    changed: frozenset[str]
    carried: int
    late: int


def microseconds(moment: dt.datetime) -> int:
    """Count the microseconds from 1970 to the moment."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> dt.datetime:
    """Return the moment so many microseconds after 1970."""
    return _EPOCH + count * _MICROSECOND


def write_fields(
    stored: Fields,
    sent: Mapping[str, Any],
    time: int | None,
    place: int,
    catalog: Catalog,
    *,
    replay: bool = False,
    kept: AbstractSet[str] = frozenset(),
) -> Written:
    """Write what a change sends over what is stored, but for the ``kept``. Pure; ``stored`` is not touched."""
    fields = dict(stored)
    changed = set()
    carried = late = 0
    timed = time is not None
    for name, value in sent.items():
        known = stored.get(name)
        if value is None and not _clears(name, known, catalog):
            continue
        carried += 1
        if name in kept:
            late += 1
        elif known is None:
            fields[name] = Field(value, place, time, timed)
            changed.add(name)
        elif _is_late(known, time, place, replay=replay):
            late += 1
        else:
            fields[name] = Field(value, place, time if timed else known.time, timed)
            if known.value is not value and not _same(known.value, value):
                changed.add(name)
    return Written(fields, frozenset(changed), carried, late)


def written_since(stored: Fields, place: int, deleted: str) -> AbstractSet[str]:
    """Name the fields written after a place; with any of them goes ``deleted``, the one that is about all."""
    since = {name for name, field in stored.items() if field.place > place}
    return since | {deleted} if since else since


def _clears(name: str, known: Field | None, catalog: Catalog) -> bool:
    """Tell whether a null says something: it clears what is mapped and no flag, or what is stored and no flag."""
    role = catalog.roles.get(name)
    if role is not None:
        return role is not Role.FLAG
    return known is not None and not isinstance(known.value, bool)


def _is_late(known: Field, time: int | None, place: int, *, replay: bool) -> bool:
    if replay and known.place > place:
        return not (known.timed and time is not None and known.time is not None and time > known.time)
    return time is not None and known.time is not None and known.time > time


def _same(left: object, right: object) -> bool:
    if isinstance(left, (dict, list)):
        return type(left) is type(right) and msgspec.json.encode(left, order="sorted") == msgspec.json.encode(
            right, order="sorted"
        )
    return type(left) is type(right) and left == right


def whole(value: object) -> int | None:
    """Return a whole number from 0 that the store can hold, or None. 5.0 is one: so Salesforce writes number fields."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**63 or value % 1:
        return None
    return int(value)


def read_moment(text: str, zone: dt.tzinfo | None) -> dt.datetime | None:
    """Read a date (midnight in ``zone``) or a time with a zone, as UTC; None where it is neither.

    Salesforce writes both ``…T00:00:00.000Z`` and ``…T00:00:00.000+0000``.
    """
    try:
        if zone is not None and _DATE.match(text):
            return dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC)
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def flag(fields: Fields, name: str) -> bool | None:
    """Return what a flag says, or None where it is unknown."""
    said = _said(fields, name)
    return said if isinstance(said, bool) else None


def text(fields: Fields, name: str | None) -> str | None:
    """Return a field's text, or None where it has none."""
    said = _said(fields, name)
    return said or None if isinstance(said, str) else None


def quantity(fields: Fields, name: str | None) -> int | None:
    """Return a field's whole number, or None where it has none."""
    return whole(_said(fields, name))


def starts(fields: Fields, name: str | None, catalog: Catalog) -> dt.datetime | None:
    """Return the moment from which the field lets a license begin; never, where it cannot be read."""
    said = _said(fields, name)
    if said in (None, ""):
        return None
    return (read_moment(said, catalog.zone) if isinstance(said, str) else None) or NEVER


def ends(fields: Fields, name: str | None, catalog: Catalog) -> dt.datetime | None:
    """Return the moment at which the field ends a license; long ago, where it cannot be read.

    A date is inclusive: it ends at the next midnight of the catalog's time zone.
    """
    said = _said(fields, name)
    if said in (None, ""):
        return None
    if isinstance(said, str) and _DATE.match(said):
        try:
            said = (dt.date.fromisoformat(said) + dt.timedelta(days=1)).isoformat()
        except OverflowError:  # 9999-12-31, which people write for "for ever"
            return None
        except ValueError:
            return _EPOCH
    return (read_moment(said, catalog.zone) if isinstance(said, str) else None) or _EPOCH


def _said(fields: Fields, name: str | None) -> Any:
    known = fields.get(name) if name else None
    return known.value if known is not None else None
