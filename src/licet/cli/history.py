"""``licet explain`` and ``licet timeline``: why, and when."""

import shlex
from typing import Annotated

import msgspec
import typer

from licet.answer.history import Explanation, History
from licet.bootstrap.desks import history_desk
from licet.cli.settings import at
from licet.cli.table import Json, show_json, show_table
from licet.domain.decision import Asked
from licet.edge.past import read_when
from licet.store.past import Event

Customer = Annotated[str, typer.Argument(help="A customer's id or an alias, tenant:4711.")]
_PAGE = 200


def explain(
    customer: Customer,
    feature: Annotated[str, typer.Argument(help="The feature's name.")],
    user: Annotated[str | None, typer.Option(help="A user of the customer.")] = None,
    as_of: Annotated[str | None, typer.Option(help="What was true at this time (2026-03-03T09:00:00Z).")] = None,
    known_at: Annotated[str | None, typer.Option(help="What was believed at this time, or revision.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether a customer may use a feature, why, and whom to ask; for a time, also whether it was answered so.

    Example: licet explain acme-1 inbound-email-security --as-of 2026-03-03T09:00:00Z
    """
    told = at(history_desk, lambda history: history.explain(Asked(feature, user, customer), read_when(as_of, known_at)))
    if as_json:
        show_json(told)
        return
    for sentence in told.sentences:
        typer.echo(sentence)
    if told.then is not None and told.now_believed is not None:
        now = f"and now it is known: {_word(told.now_believed.reason)}"
        typer.echo(f"Licet answered then: {_word(told.then.reason)}, {'which was right' if told.agree else now}.")
    typer.echo("")
    show_table(("What", "Where from"), _lines(told))


def timeline(
    customer: Customer,
    most: Annotated[int, typer.Option("--most", min=1, help="How many at most.")] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Go on where a list ended that said there is more.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what happened to a customer, newest first; where there is more, stderr says how to go on.

    Example: licet timeline acme-1 --most 20
    """
    events, more = at(history_desk, lambda history: _timeline(history, customer, most, cursor))
    if more is not None:
        typer.echo(f"there is more: licet timeline {shlex.quote(customer)} --most {most} --cursor {more}", err=True)
    if as_json:
        for event in events:
            typer.echo(msgspec.json.encode(event).decode())
        return
    rows = []
    for one in events:
        told = [one.before, one.after, one.cause]
        said = ["" if part is None else msgspec.json.encode(part).decode() for part in told]
        rows.append([one.at, one.revision, one.kind, one.author, *said])
    show_table(("At", "Revision", "What", "Author", "Before", "After", "Cause"), rows)


async def _timeline(history: History, customer: str, most: int, cursor: str | None) -> tuple[list[Event], str | None]:
    """Return the events, and the cursor of those that follow, None where none does."""
    events: list[Event] = []
    while len(events) < most:
        page = await history.timeline(customer, cursor, min(_PAGE, most - len(events)))
        events += page.items
        cursor = page.next
        if cursor is None:
            break
    return events, cursor


def _lines(told: Explanation) -> list[list[str]]:
    """Lay the lineage out, each step below what it leads to."""
    decision, lineage, delivery = told.decision, told.lineage, told.lineage.delivery
    rows = [["decision", f"{'allowed' if decision.allowed else 'refused'}: {decision.reason}"]]
    if (one := lineage.license) is not None:
        rows.append(["license", f"{one.license_id} {one.sku} {one.status} since {one.valid_from.isoformat()}"])
    if lineage.override is not None:
        rows.append(["override", f"{lineage.override.override_id} by {lineage.override.author}"])
    granted = ", ".join(lineage.granted_by) or "no SKU"
    rows.append(["feature", f"{lineage.feature} of {granted}, catalog version {lineage.catalog_version}"])
    if (opened := lineage.opened_by_catalog) is not None:
        rows.append(["opened by", f"catalog version {opened.version} of {opened.author}"])
    if delivery is not None:
        received = delivery.received_at.isoformat() if delivery.received_at is not None else "unknown"
        rows.append(["delivery", f"{delivery.event_id} of {delivery.source}, received {received}"])
        rows.append(["log", f"{delivery.log}/{delivery.partition}/{delivery.offset}"])
    if lineage.record is not None:
        rows.append(["Salesforce record", f"{lineage.record.id} {lineage.record.name or ''}".rstrip()])
        rows.append(["account manager", lineage.account_manager or "none"])
    return rows


def _word(reason: str) -> str:
    return reason.replace("_", " ")
