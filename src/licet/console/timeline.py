"""A customer's timeline as people read it: each event in a sentence, with before and after."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from licet.store.past import Event

NOTHING = "\N{EN DASH}"
_WORDS = {
    "applied": "A change from Salesforce was applied",
    "ignored": "A change from Salesforce was ignored",
    "superseded": "A change from Salesforce was older than what is known",
    "dead": "A change from Salesforce could not be applied",
}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)[\d:.]*(?:\+00:00|Z)\Z")
# What a row of before and after leaves out: it is the same on both sides, or stands in the sentence.
_QUIET = {"license_id", "override_id", "valid_from", "since", "name", "sku", "feature", "effect", "kind", "reason"}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event: what happened, what was there before and after (field, before, after), who, and what it came from."""

    at: dt.datetime | None
    kind: str
    what: str
    changed: list[tuple[str, str, str]]
    author: str | None
    cause: str


def tell(event: Event) -> Told:
    """Put an event into words."""
    before, after = event.before or {}, event.after or {}
    return Told(
        at=event.at,
        kind=event.kind,
        what=_what(event, before, after),
        changed=[] if event.kind in ("delivery", "membership", "domain", "alias", "time") else _changed(before, after),
        author=event.author,
        cause=_cause(event.cause),
    )


def _what(event: Event, before: Any, after: Any) -> str:
    there = after or before
    match event.kind:
        case "delivery":
            why = f": {_plain(after['reason'])}" if after.get("reason") else ""
            return _WORDS[after["outcome"]] + why
        case "license":
            return f"{there['sku']} is {_plain(after['status'])}" + (
                f", was {_plain(before['status'])}" if before else ""
            )
        case "override":
            what = (
                f"{'A trial' if there['kind'] == 'trial' else 'A block' if there['effect'] == 'block' else 'A grant'}"
            )
            done = "was ended" if not after else "was changed" if before else "was made"
            return f"{what} of {there['sku'] or there['feature']} {done}"
        case "catalog":
            return "A new catalog changed what its SKUs grant"
        case "time":
            whose = "license" if "license_id" in there else "override"
            return f"A {whose} is {_plain(after['state'])}, as its time has come"
        case kind:
            return f"The {kind} {there['name']} was {'given' if after else 'taken'}"


def _changed(before: Any, after: Any) -> list[tuple[str, str, str]]:
    if isinstance(before, list) or isinstance(after, list):  # what SKUs grant
        sides = [{f"{one['sku']}: {one['feature']}": one["value"] for one in side} for side in (before, after)]
    else:
        sides = [before, after]
    names = [name for name in {**sides[0], **sides[1]} if name not in _QUIET and (name != "status" or before)]
    rows = [(_plain(name), _value(sides[0].get(name)), _value(sides[1].get(name))) for name in names]
    return [row for row in rows if row[1] != row[2]]


def _cause(cause: Mapping[str, Any]) -> str:
    said = []
    if cause.get("event_id"):
        said.append(f"event {cause['event_id']}")
    if cause.get("log"):
        said.append(f"{cause['log']}/{cause['partition']}/{cause['offset']}")
    if cause.get("replay_of"):
        said.append("a replay")
    if cause.get("catalog_version"):
        said.append(f"catalog version {cause['catalog_version']}")
    if cause.get("reason"):
        said.append(f"“{cause['reason']}”")
    return ", ".join(said)


def _value(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case str():
            at = _TIME.match(value)
            return f"{at[1]} {at[2]} UTC" if at else value
        case _:
            return str(value)


def _plain(name: str) -> str:
    return name.replace("_", " ")
