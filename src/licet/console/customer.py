"""A customer's page: what it has, at any moment; why; and what people grant, block, extend and end there."""

import datetime as dt
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from licet.answer.history import History
from licet.answer.reading import Reading
from licet.answer.views import CustomerView
from licet.console.frame import HOME, Page
from licet.console.timeline import tell
from licet.domain.decision import Asked
from licet.domain.errors import Conflict, Fault, InvalidInput, NotFound
from licet.domain.ids import CustomerRef, shown
from licet.domain.principal import Scope
from licet.manage.overrides import DEFAULT, SUPPORTED, Draft, Overrides
from licet.manage.ports import OverrideReader
from licet.store.overrides import Stored
from licet.store.past import When

_EVENTS, _OVERRIDES = 15, 100
_DAYS = dt.timedelta(days=90)


class Slider(msgspec.Struct, frozen=True):
    """Steps back in time, of an hour, or of a day where it is long: ``most`` is now, 0 the first moment."""

    begin: dt.datetime
    step: dt.timedelta
    most: int
    at: int

    @classmethod
    def between(cls, begin: dt.datetime, now: dt.datetime, as_of: dt.datetime | None) -> "Slider":
        """Lay the steps over a customer's time."""
        step = dt.timedelta(days=1) if now - begin > _DAYS else dt.timedelta(hours=1)
        most = max(1, -((begin - now) // step))
        return cls(begin, step, most, most if as_of is None else min(most, max(0, (as_of - begin) // step)))

    def moment(self, at: int) -> dt.datetime | None:
        """Return the moment of a step, None for now."""
        return None if at >= self.most else self.begin + self.step * max(0, at)


@get(f"{HOME}/customers/{{customer:str}}")
async def get_customer(
    page: NamedDependency[Page],
    reading: NamedDependency[Reading],
    history: NamedDependency[History],
    override_reader: NamedDependency[OverrideReader],
    customer: FromPath[str],
) -> Response[str]:
    """Show a customer; a script asks for one block of it.

    The query: ``as_of`` is the moment, or ``at`` a step of the slider; ``feature`` and ``user`` a question; ``cursor``.
    """
    asked = {
        name: page.request.query_params.get(name, "").strip() for name in ("feature", "user", "as_of", "at", "cursor")
    }
    now_is, now = await reading.customer(customer), dt.datetime.now(dt.UTC)
    when = read_moment("as_of", asked["as_of"])
    slider = Slider.between(now_is.created_at, now, when)
    if asked["at"].isdecimal() and len(asked["at"]) < 7:  # noqa: PLR2004 a million hours
        when = slider.moment(int(asked["at"]))
        slider = msgspec.structs.replace(slider, at=int(asked["at"]))
    told = None
    if asked["feature"]:
        told = await history.explain(Asked(asked["feature"], asked["user"] or None, now_is.id), When(when))
    block = page.target(("answer", "held", "events"))
    events = await history.timeline(now_is.id, asked["cursor"] or None, _EVENTS)
    kept = (await override_reader.search(CustomerRef(customer_id=now_is.id), None, _OVERRIDES)).rows
    return page.show(
        "customer.html",
        block,
        one=now_is,
        here=_of(now_is.id),
        then=await _then(history, now_is, when),
        when=when,
        slider=slider,
        told=told,
        asked=asked,
        events=[tell(event) for event in events.items],
        older=events.next,
        **_forms(page, kept, now),
    )


async def _then(history: History, now_is: CustomerView, when: dt.datetime | None) -> CustomerView | None:
    """Return the customer at a moment, None where it was not known then."""
    if when is None:
        return now_is
    try:
        return await history.customer(now_is.id, When(when))
    except NotFound:
        return None


def _forms(page: Page, kept: Sequence[Stored], now: dt.datetime) -> dict[str, Any]:
    """Say what the forms offer: to whom, until when by default and at most, and the id of an override to be made."""
    may, all_ = page.visitor.may(Scope.SUPPORT), page.visitor.may(Scope.ADMIN)
    return {
        "kept": sorted(kept, key=lambda one: one.ends_at, reverse=True),
        "may_grant": may,
        "may_block": all_,
        "new_id": uuid.uuid4(),
        "soon": now + DEFAULT,
        "latest": None if all_ else now + SUPPORTED,
        "now": now,
    }


@post(f"{HOME}/customers/{{customer:str}}/overrides")
async def make_override(
    page: NamedDependency[Page], overrides: NamedDependency[Overrides], customer: FromPath[str]
) -> Response[Any]:
    """Grant or block. The form's own id makes sending it twice one override."""
    page.visitor.principal.require(Scope.SUPPORT)
    form = await page.form()
    kind, _, name = form.get("what", "").partition(":")
    effect = form.get("effect", "")
    draft = Draft(
        customer=customer,
        sku=name if kind == "sku" else None,
        feature=name if kind == "feature" else None,
        effect="block" if effect == "block" else "grant",
        kind="trial" if effect == "trial" else "override",
        value=_number(form.get("value", "")),
        ends_at=_required(form, "ends_at"),
        reason=form.get("reason", ""),
    )
    await _put(page, overrides, _uuid(form.get("override_id", "")), draft, None)
    return page.go(
        _of(customer),
        f"{name} is {'blocked' if effect == 'block' else 'granted'} until {draft.ends_at:%d %b %Y, %H:%M} UTC.",
    )


@post(f"{HOME}/customers/{{customer:str}}/overrides/{{override_id:uuid}}")
async def change_override(
    page: NamedDependency[Page],
    overrides: NamedDependency[Overrides],
    override_reader: NamedDependency[OverrideReader],
    customer: FromPath[str],
    override_id: FromPath[uuid.UUID],
) -> Response[Any]:
    """Extend or end it, where it still is as the form shows it."""
    page.visitor.principal.require(Scope.SUPPORT)
    form = await page.form()
    version, reason = _version(form.get("version", "")), form.get("reason", "")
    if form.get("do") == "end":
        by, limited = page.visitor.principal.actor, not page.visitor.may(Scope.ADMIN)
        await overrides.end(override_id, reason, version, by, limited=limited)
        return page.go(_of(customer), "It is ended.")
    was = await override_reader.get(override_id)
    if was.kind == "brake":
        raise Conflict("the safety brake made this: end it instead")
    same = {name: getattr(was, name) for name in ("sku", "feature", "effect", "kind", "value", "starts_at")}
    draft = Draft(customer=was.customer, ends_at=_required(form, "ends_at"), reason=reason, **same)
    await _put(page, overrides, override_id, draft, version)
    return page.go(_of(customer), f"It lasts until {draft.ends_at:%d %b %Y, %H:%M} UTC.")


async def _put(page: Page, overrides: Overrides, override_id: uuid.UUID, draft: Draft, match: int | None) -> None:
    by, limited = page.visitor.principal.actor, not page.visitor.may(Scope.ADMIN)
    await overrides.put(override_id, draft, match, by, limited=limited)


def read_moment(field: str, text: str) -> dt.datetime | None:
    """Read a time as a browser's field or an address writes it; without a zone it is UTC. Raises ``InvalidInput``."""
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text.replace(" ", "+"))
        return found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput.of(Fault(field, shown(text), "a time such as 2026-03-03T09:00")) from error


def _required(form: Mapping[str, str], field: str) -> dt.datetime:
    found = read_moment(field, form.get(field, ""))
    if found is None:
        raise InvalidInput.of(Fault(field, "nothing", "until when, such as 2026-03-03T09:00"))
    return found


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError as error:
        raise InvalidInput.of(Fault("value", shown(text), "a number")) from error


def _version(text: str) -> int:
    if not (text.isdecimal() and len(text) < 16):  # noqa: PLR2004 as an ETag
        raise InvalidInput.of(Fault("version", shown(text), "the version that the form showed"))
    return int(text)


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise InvalidInput.of(Fault("override_id", shown(text), "a UUID")) from error


def _of(customer: str) -> str:
    return f"{HOME}/customers/{urllib.parse.quote(customer, safe='')}"


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_customer, make_override, change_override]
