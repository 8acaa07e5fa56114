"""The catalog: which Salesforce field means what, which SKU grants which feature.

It is data: a TOML document that ``licet catalog apply`` makes the next version in the store.
"""

import datetime as dt
import enum
import math
import re
import tomllib
import zoneinfo
from collections.abc import Container, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import shown
from licet.domain.places import places

NOT_REQUIRED: Literal["not_required"] = "not_required"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,99}\Z")
_SYSTEM = re.compile(r"[a-z][a-z0-9_\-]{0,31}\Z")
_AT = re.compile(r"\(at line (\d+), column (\d+)\)")
_NAMED = re.compile(r"(?:\"|field `)(.+)[\"`]")  # a key, as a fault's ``found`` names it

GrantValue = bool | int | float


class Role(enum.Enum):
    """What a Salesforce field means to Licet, and so what it must hold: in words, and a type where that is enough."""

    TEXT = ("a string or null", str)
    FLAG = ("true, false or null", bool)
    START = ("a date (2026-11-23), a time with a zone (2026-11-23T09:00:00Z) or null", None)
    END = ("a date (2026-11-23, inclusive), a time with a zone (2026-11-23T09:00:00Z) or null", None)
    QUANTITY = ("a whole number from 0 or null", None)

    def __init__(self, expected: str, kind: type | None) -> None:
        self.expected = expected
        self.kind = kind


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[source]`` table: the names of the Salesforce fields that are not about one SKU."""

    id: str = "Id"
    name: str | None = "Name"
    terms: str = "SignedTos"
    account_manager: str | None = "AccountManager"
    sales_engineer: str | None = "SalesEngineerId"
    domain: str | None = None
    aliases: dict[str, str] = {}
    event_id: str = "EventId"
    modified: str = "SystemModstamp"
    deleted: str = "IsDeleted"
    organization: str = "OrganizationId"
    time_zone: str = "UTC"

    @property
    def terms_field(self) -> str | None:
        """The field that says the terms are signed, or None where the organisation has none."""
        return None if self.terms == NOT_REQUIRED else self.terms

    @property
    def envelope(self) -> frozenset[str]:
        """The fields that speak of the change and not of the customer."""
        return frozenset({self.id, self.event_id, self.modified, self.organization})


class Sku(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One stock keeping unit: the fields that carry it, the features it grants.

    ``grants`` maps a feature to ``true`` (on) or to a number, of which the largest among several SKUs wins.
    ``grace_days``: how long access goes on after a license that gave it has ended.
    """

    flag: str
    title: str = ""
    from_: str | None = msgspec.field(default=None, name="from")
    until: str | None = None
    quantity: str | None = None
    grace_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 0
    grants: dict[str, GrantValue] = {}


class WhenStale(enum.StrEnum):
    """What an answer older than the limit says of a feature."""

    LAST_KNOWN = "last_known"
    CLOSED = "closed"
    OPEN = "open"


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an application asks about."""

    title: str = ""
    when_stale: WhenStale = WhenStale.LAST_KNOWN


class Exclusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule that keeps changes out: those whose ``field`` equals one of the values or ends with one of the endings."""

    name: str
    field: str
    equals: list[str | bool | int] = []
    ends_with: list[str] = []

    def matches(self, fields: dict[str, Any]) -> bool:
        """Tell whether the rule keeps this change out."""
        value = fields.get(self.field)
        same = any(type(value) is type(wanted) and value == wanted for wanted in self.equals)
        return same or (isinstance(value, str) and value.endswith(tuple(self.ends_with)))


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Source = Source()
    features: dict[str, Feature] = {}
    skus: dict[str, Sku] = {}
    exclude: list[Exclusion] = []


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the catalog, with the look-ups that the road needs made ready.

    ``names``: under which licenses and overrides bear on a feature. ``grace``: of the SKUs that have one.
    """

    version: int
    source: Source
    features: dict[str, Feature]
    skus: dict[str, Sku]
    exclusions: tuple[Exclusion, ...]
    roles: dict[str, Role]
    grants: dict[str, tuple[tuple[str, GrantValue], ...]]
    names: dict[str, frozenset[str]]
    grace: dict[str, dt.timedelta]
    zone: zoneinfo.ZoneInfo
    text: str

    @property
    def mapped(self) -> frozenset[str]:
        """The fields that have a meaning; all others are kept and shown only."""
        return self.source.envelope | self.roles.keys() | {rule.field for rule in self.exclusions}


def read_catalog(text: str, version: int = 0) -> Catalog:
    """Read a catalog from TOML.

    Raises ``InvalidInput`` with every fault that does not hide another, each with its line and column.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = _AT.search(str(error))
        line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, 1)
        raise InvalidInput.of(Fault("catalog", str(error), "TOML", line, column)) from error
    try:
        document = msgspec.convert(raw, _Document)
    except msgspec.ValidationError as error:
        raise InvalidInput.of(*_located(_misshapen(raw, error), text)) from error
    faults = _faults(document)
    if faults:
        raise InvalidInput.of(*_located(faults, text))
    skus = document.skus.items()
    grants = {
        feature: tuple((name, sku.grants[feature]) for name, sku in skus if feature in sku.grants)
        for feature in document.features
    }
    return Catalog(
        version=version,
        source=document.source,
        features=document.features,
        skus=document.skus,
        exclusions=tuple(document.exclude),
        roles={field: role for field, role, _ in _uses(document)},
        grants=grants,
        names={feature: frozenset({f"feature:{feature}", *dict(granted)}) for feature, granted in grants.items()},
        grace={name: dt.timedelta(days=sku.grace_days) for name, sku in skus if sku.grace_days},
        zone=zoneinfo.ZoneInfo(document.source.time_zone),
        text=text,
    )


def _misshapen(raw: dict[str, Any], whole: msgspec.ValidationError) -> list[Fault]:
    """Name what has not the shape of a catalog: each entry of a table, or the document as a whole."""
    faults = []
    for table, kind in (("features", Feature), ("skus", Sku)):
        entries = raw.get(table)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            try:
                msgspec.convert(entry, kind)
            except msgspec.ValidationError as error:
                faults.append(_misfit(error, f"{table}.{name}"))
    return faults or [_misfit(whole, "")]


def _misfit(error: msgspec.ValidationError, above: str) -> Fault:
    said, _, path = str(error).partition(" - at ")
    below = re.sub(r"\[(\d+)\]", r".\1", path.strip("`$"))
    typed = re.fullmatch(r"Expected (.+), got (.+)", said)
    found, expected = (typed[2], typed[1]) if typed else (said, "the catalog's own fields")
    return Fault(f"{above}{below}".strip(".") or "catalog", found, expected)


def _located(faults: Sequence[Fault], text: str) -> list[Fault]:
    """Say where each fault stands: at the key that it names in its field, or at the nearest above it."""
    known, located = places(text), []
    for fault in faults:
        named = _NAMED.search(fault.found)
        path = f"{fault.field}.{named[1]}".removeprefix("catalog.") if named else fault.field
        while path and path not in known:
            path = path.rpartition(".")[0]
        line, column = known.get(path, (1, 1))
        located.append(msgspec.structs.replace(fault, line=line, column=column))
    return located


def _uses(document: _Document) -> list[tuple[str, Role, str]]:
    """List every (field, role, place in the catalog)."""
    source = document.source
    texts = ("name", "account_manager", "sales_engineer", "domain")
    uses = [(field, Role.TEXT, f"source.{place}") for place in texts if (field := getattr(source, place))]
    uses += [(field, Role.TEXT, f"source.aliases.{system}") for system, field in source.aliases.items()]
    uses.append((source.deleted, Role.FLAG, "source.deleted"))
    if source.terms_field:
        uses.append((source.terms_field, Role.FLAG, "source.terms"))
    for name, sku in document.skus.items():
        uses.append((sku.flag, Role.FLAG, f"skus.{name}.flag"))
        more = (
            (sku.from_, Role.START, "from"),
            (sku.until, Role.END, "until"),
            (sku.quantity, Role.QUANTITY, "quantity"),
        )
        uses += [(field, role, f"skus.{name}.{place}") for field, role, place in more if field]
    return uses


def _faults(document: _Document) -> list[Fault]:
    faults = []
    try:
        zoneinfo.ZoneInfo(document.source.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a continent, which is a folder
        faults.append(Fault("source.time_zone", shown(document.source.time_zone), "an IANA zone such as Europe/Paris"))
    for kind, names in (("features", document.features), ("skus", document.skus)):
        faults += [
            Fault(kind, shown(name), "a name of 1 to 100 letters, digits, '.', '_' or '-'")
            for name in names
            if not _NAME.match(name)
        ]
    faults += [
        Fault("source.aliases", shown(system), "a system in lower-case letters, digits, '_' or '-'")
        for system in document.source.aliases
        if not _SYSTEM.match(system)
    ]
    for name, sku in document.skus.items():
        faults += _ungranted(f"skus.{name}.grants", sku, document.features)
    for rule in document.exclude:
        if not rule.equals and not rule.ends_with:
            faults.append(Fault(f"exclude.{rule.name}", "no values", "equals = […] or ends_with = […]"))
        if rule.field in document.source.envelope:
            found = shown(rule.field)
            faults.append(Fault(f"exclude.{rule.name}", found, "a field that does not name the change itself"))
    if b"\\u0000" in msgspec.json.encode(document):
        faults.append(Fault("catalog", "U+0000", "text that PostgreSQL can keep"))
    return faults + _unnamed(document) + _clashes(document)


def _ungranted(at: str, sku: Sku, features: Container[str]) -> Iterator[Fault]:
    for feature, value in sku.grants.items():
        if feature not in features:
            yield Fault(at, shown(feature), "a feature of the [features] table")
        if value is False:
            yield Fault(f"{at}.{feature}", "false", "true or a number; leave out what is not granted")
        elif isinstance(value, float) and not math.isfinite(value):
            yield Fault(f"{at}.{feature}", shown(value), "true or a number")


def _unnamed(document: _Document) -> list[Fault]:
    source = document.source
    named = {
        f"source.{place}": getattr(source, place)
        for place in ("id", "terms", "event_id", "modified", "deleted", "organization")
    }
    named |= {f"skus.{name}.flag": sku.flag for name, sku in document.skus.items()}
    return [Fault(place, '""', "the name of a field") for place, field in named.items() if not field]


def _clashes(document: _Document) -> list[Fault]:
    faults = []
    seen: dict[str, tuple[Role, str]] = {}
    for field, role, place in _uses(document):
        if field in document.source.envelope:
            faults.append(Fault(place, shown(field), "a field that does not name the change itself"))
        known = seen.setdefault(field, (role, place))
        if known[0] is not role:
            faults.append(Fault(place, shown(field), f"another field: {known[1]} reads it as {known[0].expected}"))
    return faults
