"""``licet grant``, ``licet block``, ``licet override``: exceptions for a time, each with a reason."""

import datetime as dt
import re
import uuid
from typing import Annotated, Any

import msgspec
import typer

from licet.bootstrap.desks import Exceptions, override_desk
from licet.bootstrap.store import utc_now
from licet.cli.settings import Reason, at, operator
from licet.cli.table import Json, progress, say, show_table
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
    kind = "trial" if trial else "override"
    _make(customer, what, effect="grant", reason=reason, ends_at=_end(for_, until), value=value, kind=kind)


def block(
    customer: Customer, what: What, reason: Reason, for_: For = None, until: Until = None, _json: Json = False
) -> None:
    """Close a SKU or a feature to a customer for a time, whatever its licenses say.

    Example: licet block acme-1 feature:inbound-email-security --for 36h --reason "abuse, case 4712"
    """
    _make(customer, what, effect="block", reason=reason, ends_at=_end(for_, until))


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only this customer's: id or alias.")] = None, _json: Json = False
) -> None:
    """List overrides that were not ended early, also those whose time has passed or is to come.

    Example: licet override list --customer acme-1
    """
    ref = CustomerRef.parse(customer) if customer is not None else None

    async def read(lent: Exceptions) -> list[Stored]:
        found: list[Stored] = []
        while True:
            page = await lent.store.search(ref, found[-1].override_id if found else None, _PAGE)
            found += page.rows
            if not page.more:
                return found

    with progress("overrides"):
        found = at(override_desk, read)
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

    async def write(lent: Exceptions) -> tuple[Stored, int]:
        of = await lent.store.get(override_id)
        return await lent.desk.put(override_id, Draft.lasting(of, ends_at, of.reason), of.version, operator())

    _told(at(override_desk, write))


@app.command()
def end(override_id: OverrideId, reason: Reason, _json: Json = False) -> None:
    """End an override before its time.

    Example: licet override end 0198f6a2-7c1e-7b5a-9d7e-2f4c1a5b6c7d --reason "they bought it"
    """

    async def write(lent: Exceptions) -> tuple[Stored, int]:
        of = await lent.store.get(override_id)
        return await lent.desk.end(override_id, reason, of.version, operator())

    ended, _ = at(override_desk, write)
    say(f"the {ended.effect} of {_what(ended)} to {ended.customer} is ended", **msgspec.structs.asdict(ended))


def _make(customer: str, what: str, **said: Any) -> None:
    feature = what.removeprefix("feature:") if what.startswith("feature:") else None
    draft = Draft(customer=customer, sku=what if feature is None else None, feature=feature, **said)
    _told(at(override_desk, lambda lent: lent.desk.put(uuid.uuid4(), draft, None, operator())))


def _told(written: tuple[Stored, int]) -> None:
    one, _ = written
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
