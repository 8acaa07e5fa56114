"""``licet customer``: what a person does to a whole customer."""

from typing import Annotated

import typer

from licet.bootstrap.desks import customer_desk
from licet.cli.settings import Reason, Yes, confirm, operator, store_settings
from licet.cli.table import Json, progress, say
from licet.consume.customers import Acted

app = typer.Typer(
    help="Restore a deleted customer, erase one for good.\n\nExample: licet customer restore acme-1 --reason mistake",
    no_args_is_help=True,
)
Customer = Annotated[str, typer.Argument(help="The customer's id.")]


@app.command()
def restore(customer: Customer, reason: Reason, _json: Json = False) -> None:
    """Lift the tombstone of a deleted customer; its licenses are at once what its kept fields say.

    Example: licet customer restore acme-1 --reason "deleted by mistake, case 4711"
    """
    with progress("restoring"):
        acted = customer_desk(store_settings()).restore(customer, reason, operator())
    _told(acted, "restored")


@app.command()
def erase(customer: Customer, reason: Reason, yes: Yes = False, _json: Json = False) -> None:
    """Empty what is kept of a customer: name, fields, payloads, dead letters, users, domains, aliases. No way back.

    Example: licet customer erase acme-1 --reason "request of 24 November" --yes
    """
    confirm(f"erase the customer {customer} for good?", yes=yes, needed=True)
    with progress("erasing"):
        acted = customer_desk(store_settings()).erase(customer, reason, operator())
    _told(acted, "erased")


def _told(acted: Acted, what: str) -> None:
    said = f"customer {acted.customer} is {what} (revision {acted.revision})"
    say(said, customer=acted.customer, revision=acted.revision, act=what)
