"""What a salesperson reads: what is so, why, and whom to ask, or what would have to change. One row for each reason."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from licet.domain.brake import HELD
from licet.domain.decision import Decision
from licet.store.past import Behind
from licet.store.values import OverrideRow


class Phrase(msgspec.Struct, frozen=True):
    """``why`` and ``change`` are sentences with gaps. ``change`` says what would turn a refusal, or whom to ask."""

    why: str
    change: str


_DEAL = Phrase("{sku} has been active since {since}{until}; {cause}.", "About the deal, ask {manager}.")
_ORDER = "{skus} can be sold, and set in Salesforce, by {manager}."
# The names are those of ``Reason``.
PHRASES: Mapping[str, Phrase] = {
    "unknown_feature": Phrase(
        "The catalog has no feature of that name; {cause}.",
        "The application has to ask for a feature of the catalog: ask its developers; about the deal, {manager}.",
    ),
    "unknown_user": Phrase(
        "No membership and no verified e-mail domain leads from this user to {whom}; {cause}.",
        "The user, or the e-mail domain, has to be given to the customer: ask {manager}.",
    ),
    "unknown_customer": Phrase(
        "Licet has never taken over a customer of that name; {cause}.",
        "The account has to reach Licet from Salesforce: ask {manager}.",
    ),
    "blocked": Phrase('{author} blocked it on {since}{until}: "{note}"; {cause}.', "{author} can end the block."),
    "override": Phrase(
        '{author} granted it on {since}{until}: "{note}"; {cause}.', "Ask {author} about the exception."
    ),
    "licensed": _DEAL,
    "grace": Phrase("{sku} has ended, and its grace runs{until}; {cause}.", "{sku} can be renewed by {manager}."),
    "terms_not_signed": Phrase(
        "{sku} was sold, and waits since {since} for the terms of service; {cause}.",
        "The customer has to sign the terms of service: ask {manager}.",
    ),
    "suspended": Phrase(
        "The terms of service were withdrawn on {since}, which suspends {sku}; {cause}.",
        "The customer has to sign the terms of service again: ask {manager}.",
    ),
    "not_yet_valid": Phrase(
        "{sku} was sold and has not begun{begins}; {cause}.",
        "The start of {sku} can be moved in Salesforce by {manager}.",
    ),
    "expired": Phrase("{sku} ran out on {since}; {cause}.", "{sku} can be renewed in Salesforce by {manager}."),
    "revoked": Phrase("{sku} was ended on {since}; {cause}.", _ORDER),
    "not_licensed": Phrase("{whom} has no license of {skus}, which would grant it; {cause}.", _ORDER),
    "stale": Phrase(
        "The store could not confirm the plan; {cause}.", "The operator of Licet has to look: else {manager}."
    ),
}

# Not Salesforce's doing, whatever it said last.
_DECIDED = ("blocked", "override", "unknown_feature", "unknown_user", "stale")
_HELD = Phrase(
    "{sku} has ended, but is {held}{until}{note}; {cause}.",
    "Ask {manager}: if the customer still has {sku}, it has to be set in Salesforce again, else access ends then.",
)


def sentences(
    decision: Decision, behind: Behind | None, override: OverrideRow | None, skus: Sequence[str], title: str
) -> list[str]:
    """Say it in three sentences. ``skus`` grant the feature, ``title`` is its name for people."""
    record = behind.record if behind is not None else None
    name = (record.name or record.id) if record is not None else decision.customer
    who = decision.user or name or "nobody"
    braked = override is not None and override.kind == "brake"
    phrase = _HELD if braked else PHRASES[decision.reason]
    gaps = {
        "sku": decision.sku or " or ".join(skus) or "The license",
        "skus": " or ".join(skus) or "a plan with this feature",
        "whom": name or "any customer",
        "manager": _manager(behind, name),
        "since": _day(decision.since),
        "until": f" until {_day(decision.until)}" if decision.until is not None else "",
        "begins": f" before {_day(decision.until)}" if decision.until is not None else "",
        "cause": _cause(behind, decided=decision.reason in _DECIDED and not braked),
        "author": override.author if override is not None else "somebody",
        "note": override.reason.removeprefix(HELD) if override is not None else "",
        "held": HELD,
    }
    may = "may" if decision.allowed else "may not"
    value = f" (up to {decision.value:g})" if decision.value is not None and decision.value is not True else ""
    within = f" of {name}" if decision.user is not None and name is not None else ""
    return [f"{who}{within} {may} use {title}{value}.", phrase.why.format(**gaps), phrase.change.format(**gaps)]


def _manager(behind: Behind | None, name: str | None) -> str:
    if behind is not None and behind.record is not None and behind.record.account_manager:
        return f"{behind.record.account_manager}, the account manager"
    return f"whoever looks after {name} in Salesforce" if name is not None else "the account manager"


def _cause(behind: Behind | None, *, decided: bool) -> str:
    """Say which delivery stands behind it, in half a sentence; beside it, where Licet or a person ``decided``."""
    delivery = behind.delivery if behind is not None else None
    if behind is None or delivery is None:
        return "no delivery from Salesforce says anything of it"
    at = delivery.source_time or delivery.received_at or delivery.recorded_at
    place = f"event {delivery.event_id}, {delivery.log}/{delivery.partition}/{delivery.offset}"
    said = f"Salesforce said so on {_day(at)} ({place})"
    if decided:
        said = f"Salesforce's own word is of {_day(at)} ({place})"
    if delivery.outcome != "applied":
        how = f"{delivery.outcome}({delivery.reason})" if delivery.reason else delivery.outcome
        said = f"the last delivery, of {_day(at)}, ended as {how} ({place})"
    if behind.catalog is not None:
        catalog = behind.catalog
        return (
            f"catalog version {catalog.version} of {catalog.author} opened it on {_day(catalog.applied_at)}, and {said}"
        )
    return said


def _day(at: dt.datetime | None) -> str:
    return f"{at.day} {at:%B %Y, %H:%M} UTC" if at is not None else "an unknown day"
