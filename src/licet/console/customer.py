"""A customer's page: what it has, at any moment; why; and what people grant, block, extend and end there."""

import datetime as dt
import re
import urllib.parse
import uuid
from collections.abc import Collection
from typing import Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from licet.answer.history import History
from licet.answer.reading import Reading
from licet.answer.views import Listing
from licet.console.frame import HOME, UNSENT, Form, Page
from licet.console.refusal import Refusal
from licet.console.timeline import tell
from licet.domain.decision import Asked
from licet.domain.errors import Conflict, Fault, InvalidInput, LicetError
from licet.domain.ids import CustomerRef, shown
from licet.domain.principal import Scope
from licet.manage.overrides import DEFAULT, SUPPORTED, Draft, Overrides
from licet.manage.ports import OverrideReader
from licet.store.past import Event, When

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


class View:
    """A customer's page, with the rooms that it reads from."""

    def __init__(
        self,
        page: NamedDependency[Page],
        reading: NamedDependency[Reading],
        history: NamedDependency[History],
        override_reader: NamedDependency[OverrideReader],
    ) -> None:
        self._page = page
        self._reading = reading
        self._history = history
        self._override_reader = override_reader

    async def show(self, customer: str, refused: Refusal = UNSENT) -> Response[str]:
        """Show a customer, with a form that was refused; a script asks for one block of it."""
        page = self._page
        asked = page.asked("feature", "user", "as_of", "at", "cursor")
        block = page.target(("answer", "held", "events"))
        now_is, now = await self._reading.customer(customer), dt.datetime.now(dt.UTC)
        when = read_moment("as_of", asked["as_of"]) if asked["as_of"] else None
        slider = Slider.between(now_is.created_at, now, when)
        if asked["at"].isdecimal() and len(asked["at"]) < 7:  # noqa: PLR2004 a million hours
            slider = msgspec.structs.replace(slider, at=min(slider.most, int(asked["at"])))
            when = slider.begin + slider.step * slider.at if slider.at < slider.most else None
        # A script that moves the slider, asks or goes on gets one block: what only the others show is not read for it.
        told = None
        if asked["feature"] and block in {None, "answer"}:
            question = Asked(asked["feature"], asked["user"] or None, now_is.id)
            told = await self._history.explain(question, When(when))
        events: Listing[Event] = Listing([], None)
        if block in {None, "events"}:
            events = await self._history.timeline(now_is.id, asked["cursor"] or None, _EVENTS)
        then = await self._history.customer(now_is.id, When(when)) if when and block in {None, "held"} else now_is
        return page.show(
            "customer.html",
            block,
            refused=refused,
            one=now_is,
            here=_of(now_is.id),
            then=then,
            when=when,
            slider=slider,
            told=told,
            asked=asked,
            events=[tell(event) for event in events.items],
            older=events.next,
            now=now,
            **(await self._exceptions(now_is.id, now) if block is None else {}),
        )

    def numbers(self) -> frozenset[str]:
        """Return the features that have a number; all others are on or off."""
        return self._reading.numbers()

    async def _exceptions(self, customer: str, now: dt.datetime) -> dict[str, Any]:
        """Return what the grants, trials and blocks of the page are told by, and their forms."""
        kept = await self._override_reader.search(CustomerRef(customer_id=customer), None, _OVERRIDES)
        may_all = self._page.visitor.may(Scope.ADMIN)
        return {
            "more_kept": kept.more,
            "kept": sorted(kept.rows, key=lambda one: one.ends_at, reverse=True),
            "numbers": self.numbers(),
            "may_grant": self._page.visitor.may(Scope.SUPPORT),
            "may_all": may_all,
            "new_id": uuid.uuid4(),
            "soon": now + DEFAULT,
            "latest": None if may_all else now + SUPPORTED,
        }


@get(f"{HOME}/customers/{{customer:str}}")
async def get_customer(view: NamedDependency[View], customer: FromPath[str]) -> Response[str]:
    """Show a customer; a script asks for one block of it.

    The query: ``as_of`` is the moment, or ``at`` a step of the slider; ``feature`` and ``user`` a question; ``cursor``.
    """
    return await view.show(customer)


class New(msgspec.Struct, frozen=True):
    """The form of a new override. ``what`` is ``sku:NAME`` or ``feature:NAME``; its own id makes twice sent one."""

    override_id: uuid.UUID
    what: str
    effect: Literal["trial", "grant", "block"]
    ends_at: str
    reason: str
    value: str = ""

    def draft(self, customer: str, numbers: Collection[str]) -> Draft:
        """Read it: a grant of a feature among ``numbers`` has a value, nothing else has. Raises ``InvalidInput``."""
        kind, _, name = self.what.partition(":")
        numbered = kind == "feature" and name in numbers and self.effect != "block"
        value = _number(self.value) if numbered else None
        if numbered and value is None:
            raise InvalidInput.of(Fault("value", shown(self.value), f"a number such as 500 or 2.5: {name} has one"))
        if self.value.strip() and not numbered:
            raise InvalidInput.of(Fault("value", shown(self.value), "nothing: only features with a number have one"))
        return Draft(
            customer=customer,
            sku=name if kind == "sku" else None,
            feature=name if kind == "feature" else None,
            effect="block" if self.effect == "block" else "grant",
            kind="trial" if self.effect == "trial" else "override",
            value=value,
            ends_at=read_moment("ends_at", self.ends_at),
            reason=self.reason,
        )


class Change(msgspec.Struct, frozen=True):
    """The form that extends or ends an override: it counts for the ``version`` that it showed."""

    version: int
    ends_at: str
    reason: str
    do: Literal["extend", "end"]


@post(f"{HOME}/customers/{{customer:str}}/overrides")
async def make_override(
    page: NamedDependency[Page],
    view: NamedDependency[View],
    overrides: NamedDependency[Overrides],
    customer: FromPath[str],
    data: Form[New],
) -> Response[Any]:
    """Grant or block for a time."""
    by = page.act(Scope.SUPPORT)
    try:
        limited = not page.visitor.may(Scope.ADMIN)
        made, _ = await overrides.put(data.override_id, data.draft(customer, view.numbers()), None, by, limited=limited)
    except LicetError as error:
        if isinstance(error, InvalidInput) and [one.field for one in error.faults] == ["If-Match"]:  # pressed twice
            return page.go(_of(customer), "This form was sent before: what it made stands below.")
        return await view.show(customer, await page.refusal("new", error, {"sku": "what", "feature": "what"}))
    what, worth = made.sku or made.feature, "" if made.value is None else f" with {made.value:g}"
    return page.go(_of(customer), f"{what} is {made.effect}ed{worth} until {made.ends_at:%d %b %Y, %H:%M} UTC.")


@post(f"{HOME}/customers/{{customer:str}}/overrides/{{override_id:uuid}}")
async def change_override(
    page: NamedDependency[Page],
    view: NamedDependency[View],
    overrides: NamedDependency[Overrides],
    override_reader: NamedDependency[OverrideReader],
    customer: FromPath[str],
    override_id: FromPath[uuid.UUID],
    data: Form[Change],
) -> Response[Any]:
    """Extend or end it, where it still is as the form shows it."""
    by, limited = page.act(Scope.SUPPORT), not page.visitor.may(Scope.ADMIN)
    try:
        if data.do == "end":
            await overrides.end(override_id, data.reason, data.version, by, limited=limited)
            return page.go(_of(customer), "It is ended.")
        was = await override_reader.get(override_id)
        if was.kind == "brake":
            raise Conflict("the safety brake made this: it is ended, or lasts as it does")
        draft = Draft.lasting(was, read_moment("ends_at", data.ends_at), data.reason)
        made, _ = await overrides.put(override_id, draft, data.version, by, limited=limited)
    except LicetError as error:
        return await view.show(customer, await page.refusal(str(override_id), error))
    return page.go(_of(customer), f"It lasts until {made.ends_at:%d %b %Y, %H:%M} UTC.")


def _number(text: str) -> float | None:
    """Read a number as people type one, with a point or a comma; None for what is none."""
    fits = re.fullmatch(r"\s*([0-9]{1,15}(?:[.,][0-9]{1,9})?)\s*", text, re.ASCII)
    return float(fits[1].replace(",", ".")) if fits else None


def read_moment(field: str, text: str) -> dt.datetime:
    """Read a time as a browser's field or an address writes it; without a zone it is UTC. Raises ``InvalidInput``."""
    try:
        found = dt.datetime.fromisoformat(text.replace(" ", "+"))
        return found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput.of(Fault(field, shown(text), "a time such as 2026-03-03T09:00")) from error


def _of(customer: str) -> str:
    return f"{HOME}/customers/{urllib.parse.quote(customer, safe='')}"
