"""``licet grant``, ``licet block``, ``licet override``: exceptions for a time, each with a reason."""

import asyncio
import datetime as dt
import re
import uuid
from typing import Annotated, Literal

import msgspec
import typer

from licet.bootstrap.desks import override_desk
from licet.bootstrap.store import utc_now
from licet.cli.settings import Reason, operator, store_settings
from licet.cli.table import Json, say, show_table, working
from licet.domain.errors import Fault, InvalidInput
from licet.domain.ids import CustomerRef, shown
from licet.manage.overrides import Draft
from licet.store.overrides import Stored

app = typer.Typer(
    help="List, extend and end grants and blocks.\n\nExample: licet override list --customer acme-1",
    no_args_is_help=True,
)
Customer = Annotated[str, typer.Argument(help="The customer's id or alias.")]
What = Annotated[str, typer.Argument(help="A SKU, or feature:NAME.")]
OverrideId = Annotated[uuid.UUID, typer.Argument(help="The override's id, as `licet override list` shows it.")]
For = Annotated[str | None, typer.Option("--for", help="How long from now: 36h, 14d, 2w. Without an end: 48h.")]
Until = Annotated[str | None, typer.Option(help="When it ends, with a zone: 2026-12-01T09:00:00Z.")]
_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}
_SHOWN = ("effect", "kind", "starts_at", "ends_at", "author", "reason")
_PAGE = 200


def grant(
    customer: Customer,
    what: What,
    reason: Reason,
    for_: For = None,
    until: Until = None,
    value: Annotated[float | None, typer.Option(help="The value of a feature; without one it is on.")] = None,
    trial: Annotated[bool, typer.Option("--trial", help="A trial: a grant to be extended.")] = False,
    _json: Json = False,
) -> None:
    """Open a SKU or a feature to a customer for a time, whatever its licenses say.

    Example: licet grant tenant:4711 SKU2 --trial --for 14d --reason "trial, case 4711"
    """
    kind: Literal["trial", "override"] = "trial" if trial else "override"
    _make(customer, what, "grant", reason, _end(for_, until), value=value, kind=kind)


def block(
    customer: Customer, what: What, reason: Reason, for_: For = None, until: Until = None, _json: Json = False
) -> None:
    """Close a SKU or a feature to a customer for a time, whatever its licenses say.

    Example: licet block acme-1 feature:inbound-email-security --for 36h --reason "abuse, case 4712"
    """
    _make(customer, what, "block", reason, _end(for_, until))


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only this customer's: id or alias.")] = None,
    _json: Json = False,
) -> None:
    """List overrides that were not ended early, also those whose time has passed or is to come.

    Example: licet override list --customer acme-1
    """
    ref = CustomerRef.parse(customer) if customer is not None else None

    async def read() -> list[Stored]:
        found: list[Stored] = []
        async with override_desk(store_settings()) as (store, _):
            while True:
                page = await store.search(ref, found[-1].override_id if found else None, _PAGE)
                found += page.rows
                if not page.more:
                    return found

    with working("overrides"):
        found = asyncio.run(read())
    rows = [(one.override_id, one.customer, _what(one), *(getattr(one, name) for name in _SHOWN)) for one in found]
    show_table(("Override", "Customer", "What", "Effect", "Kind", "From", "Until", "Author", "Reason"), rows)


@app.command()
def extend(override_id: OverrideId, for_: For = None, until: Until = None, _json: Json = False) -> None:
    """Let a grant, a trial or a block end later (or sooner); all else stays as it is.

    Example: licet override extend 0198f6a2-7c1e-7b5a-9d7e-2f4c1a5b6c7d --for 7d
    """
    ends_at = _end(for_, until)
    if ends_at is None:
        raise InvalidInput.of(Fault("--until", "nothing", "--until or --for"))

    async def write() -> Stored:
        async with override_desk(store_settings()) as (store, desk):
            of = await store.get(override_id)
            draft = Draft.lasting(of, ends_at, of.reason)
            return (await desk.put(override_id, draft, of.version, operator()))[0]

    _told(asyncio.run(write()))


@app.command()
def end(override_id: OverrideId, reason: Reason, _json: Json = False) -> None:
    """End an override before its time.

    Example: licet override end 0198f6a2-7c1e-7b5a-9d7e-2f4c1a5b6c7d --reason "they bought it"
    """

    async def write() -> Stored:
        async with override_desk(store_settings()) as (store, desk):
            of = await store.get(override_id)
            return (await desk.end(override_id, reason, of.version, operator()))[0]

    ended = asyncio.run(write())
    say(f"the {ended.effect} of {_what(ended)} to {ended.customer} is ended", **msgspec.structs.asdict(ended))


def _make(
    customer: str,
    what: str,
    effect: Literal["grant", "block"],
    reason: str,
    ends_at: dt.datetime | None,
    *,
    value: float | None = None,
    kind: Literal["override", "trial"] = "override",
) -> None:
    feature = what.removeprefix("feature:") if what.startswith("feature:") else None
    draft = Draft(
        customer=customer,
        sku=what if feature is None else None,
        feature=feature,
        effect=effect,
        kind=kind,
        value=value,
        ends_at=ends_at,
        reason=reason,
    )

    async def write() -> Stored:
        async with override_desk(store_settings()) as (_, desk):
            return (await desk.put(uuid.uuid4(), draft, None, operator()))[0]

    _told(asyncio.run(write()))


def _told(one: Stored) -> None:
    said = {"grant": "granted", "block": "blocked"}[one.effect]
    until = one.ends_at.isoformat(" ", "minutes")
    say(f"{one.override_id}: {_what(one)} is {said} to {one.customer} until {until}", **msgspec.structs.asdict(one))


def _end(for_: str | None, until: str | None) -> dt.datetime | None:
    """Read when it is to end; None where neither is said. Raises ``InvalidInput``."""
    if for_ is not None and until is not None:
        raise InvalidInput.of(Fault("--for", shown(for_), "either --for or --until"))
    if for_ is not None:
        length = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", for_)
        if length is None:
            raise InvalidInput.of(Fault("--for", shown(for_), "hours, days or weeks: 36h, 14d, 2w"))
        return utc_now() + int(length[1]) * _UNITS[length[2]]
    if until is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(until)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput.of(Fault("--until", shown(until), "a time with a zone: 2026-12-01T09:00:00Z"))
    return moment


def _what(one: Stored) -> str:
    return one.sku if one.sku is not None else f"feature:{one.feature}"
