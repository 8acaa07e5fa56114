"""Drift: where the store and a full export of Salesforce differ.

The export is the truth; ``found`` is what Licet has, ``expected`` what the export says. Values are read as the door
reads them: dates are compared by the moment that they mean, empty is null, and a flag that is null says nothing.
"""

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from licet.domain.catalog import Catalog, Role
from licet.domain.change import check_change
from licet.domain.fields import Field, Fields, ends, microseconds, read_moment, starts, whole

_FLAGS = {"true": True, "false": False}
_NUMBER = re.compile(r"-?\d{1,18}(\.\d+)?\Z")
_STEM = re.compile(r"[A-Za-z]+")


class DriftKind(enum.StrEnum):
    """In what a customer may be off."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    UNKNOWN_SKU = "unknown_sku"


class Repair(enum.StrEnum):
    """What is done about what is off."""

    PLANNED = "planned"
    DELETION = "deletion planned"
    CHANGED_SINCE = "held back: changed since"
    UNTIMED = "held back: no --exported-at"
    ERASED = "held back: erased"
    UNKNOWN_SKU = "held back: unknown SKU"
    NOT_ASKED = "held back: no --delete-missing"


class Drift(msgspec.Struct, frozen=True, gc=False):
    """One thing that is off. ``line`` is the file's, None where the customer is not in it.

    ``repair`` is None where nobody asked for one.
    """

    kind: DriftKind
    customer: str
    line: int | None
    field: str | None = None
    found: Any = None
    expected: Any = None
    repair: Repair | None = None


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a row of an export says. ``excluded``: the catalog keeps such rows out, as it keeps changes out.

    ``time`` is the row's own, in microseconds since 1970.
    """

    fields: dict[str, Any]
    deleted: bool
    unknown_skus: list[str]
    excluded: bool
    time: int | None


class Pair(msgspec.Struct, frozen=True, gc=False):
    """A customer beside its row of the export.

    ``line`` and ``said`` are None where the file has no row of it, ``deleted`` where the store does not know it.
    """

    customer: str
    line: int | None
    said: Said | None
    deleted: bool | None
    fields: Fields


class Layout:
    """How one catalog reads an export's columns."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.compared = {name: role for name, role in catalog.roles.items() if name != catalog.source.deleted}
        self._mapped = catalog.mapped
        flags = [sku.flag for sku in catalog.skus.values()]
        self._stems = ("SKU", *(stem[0] for stem in map(_STEM.match, flags) if stem))
        self._typed = {
            rule.field: {type(value) for value in rule.equals}
            for rule in catalog.exclusions
            if rule.field not in catalog.roles
        }

    def columns(self) -> list[str]:
        """Return the columns of an export, the id first."""
        source = self.catalog.source
        return [source.id, source.modified, source.deleted, *self.compared, *self._typed]

    def is_unknown_sku(self, column: str) -> bool:
        """Tell whether a column is named as a SKU's flag is (``SKU…``, or as a known flag begins) and is none."""
        return column not in self._mapped and column.startswith(self._stems)

    def cell(self, column: str, text: str) -> Any:
        """Read a cell of a CSV file as the JSON value that the sender would have sent."""
        if not text:
            return None
        role, kinds = self.catalog.roles.get(column), self._typed.get(column, ())
        if role is Role.FLAG or bool in kinds or (role is None and self.is_unknown_sku(column)):
            return _FLAGS.get(text.lower(), text)
        if (role is Role.QUANTITY or int in kinds) and _NUMBER.match(text):
            return int(text) if "." not in text else float(text)
        return text

    def read(self, payload: Mapping[str, Any]) -> tuple[str, Said]:
        """Read a row as a change is read; returns the customer's id and what is said. Raises ``InvalidInput``."""
        catalog = self.catalog
        checked = check_change(payload, catalog)
        fields = {
            name: reading(payload[name], role, catalog) for name, role in self.compared.items() if name in payload
        }
        unknown = [name for name, value in payload.items() if value is True and self.is_unknown_sku(name)]
        excluded = any(rule.matches(dict(payload)) for rule in catalog.exclusions)
        time = microseconds(checked.source_time) if checked.source_time is not None else None
        return checked.customer_id, Said(fields, payload.get(catalog.source.deleted) is True, unknown, excluded, time)

    def differences(self, stored: Fields, said: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        """Yield (field, found, expected) of each that differs in what it means."""
        for name, expected in said.items():
            role, known = self.compared[name], stored.get(name)
            raw = known.value if known is not None else None
            if raw == expected and type(raw) is type(expected):
                continue
            found = reading(raw, role, self.catalog)
            if found == expected or (expected is None and role is Role.FLAG):
                continue
            if (
                role.kind is None
                and role is not Role.QUANTITY
                and self._moment(found, role) == self._moment(expected, role)
            ):
                continue
            yield name, found, expected

    def _moment(self, value: Any, role: Role) -> Any:
        read = starts if role is Role.START else ends
        return read({"it": Field(value, 0, None, timed=False)}, "it", self.catalog)


def reading(value: Any, role: Role, catalog: Catalog) -> Any:
    """Return a value as a field with this role is read; None for nothing, and for what the door would refuse."""
    if role is Role.QUANTITY:
        return whole(value)
    if role is Role.FLAG:
        return value if isinstance(value, bool) else None
    if not isinstance(value, str) or not value:
        return None
    return value if role is Role.TEXT or read_moment(value, catalog.zone) is not None else None


def drifts(layout: Layout, pair: Pair) -> list[Drift]:
    """Return what is off about one customer."""
    customer, line, said, deleted = pair.customer, pair.line, pair.said, pair.deleted
    if said is None or line is None:
        return [Drift(DriftKind.EXTRA, customer, None)] if deleted is False else []
    if said.excluded:
        return []
    found = [Drift(DriftKind.UNKNOWN_SKU, customer, line, name, None, True) for name in said.unknown_skus]
    gone = layout.catalog.source.deleted
    if deleted is None:
        found += [] if said.deleted else [Drift(DriftKind.MISSING, customer, line)]
    elif deleted is not said.deleted:
        found.append(Drift(DriftKind.DIFFERENT, customer, line, gone, deleted, said.deleted))
    if deleted is False and not said.deleted:
        found += [
            Drift(DriftKind.DIFFERENT, customer, line, *each) for each in layout.differences(pair.fields, said.fields)
        ]
    return found
