"""Take the pictures in docs/images: a console with some customers, in a real browser. ``make shots``."""

import datetime as dt
import pathlib
import uuid
from typing import Literal

import httpx

from licet.console.session import Role
from support.browser import DESKTOP, PHONE, browser, lacking, person
from support.console import Served, served_console
from support.database import migrated_template, server

FOLDER = pathlib.Path(__file__).parents[2] / "docs/images"
KEY = "an-admin-key-of-the-pictures"
ACME = "0015g00000AbCdEAAV"
_WHY = f"/console/customers/{ACME}?feature=account-takeover-protection&user=ada@acme.example"
# Name of the file, path, role, window, scheme.
PICTURES: tuple[tuple[str, str, Role, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("console-search", "/console", Role.SALES, DESKTOP, "light"),
    ("console-search-phone", "/console", Role.SALES, PHONE, "dark"),
    ("console-customer", _WHY, Role.SUPPORT, DESKTOP, "light"),
    ("console-customer-phone", _WHY, Role.SUPPORT, PHONE, "light"),
)


def fill(at: Served) -> None:
    """Make customers in the states that one meets."""
    at.deal(ACME, Name="Acme Logistics GmbH", SKU1=True, SKU2=True, AccountManager="Ada Byron")
    at.deal(ACME, SKU2=False)
    at.deal("0015g00000NoRdWAAX", Name="Nordwind Energie AG", SKU1=True, SKU3=True, AccountManager="Ada Byron")
    at.deal("0015g00000UmBrAAA5", Name="Umbra Health Inc", SignedTos=False, SKU1=True, AccountManager="Ada Byron")
    at.deal("0015g00000BlUeHAA1", Name="Blue Harbor Foods Ltd", SKU2=False, AccountManager="Ada Byron")
    with httpx.Client(base_url=at.url, headers={"authorization": f"Bearer {KEY}"}) as api:
        for name in ("users/ada@acme.example", "domains/acme.example", "aliases/tenant:4711"):
            api.put(f"/v1/customers/{ACME}/{name}").raise_for_status()
        ends = (dt.datetime.now(dt.UTC) + dt.timedelta(days=7)).isoformat()
        trial = {"customer": ACME, "sku": "SKU3", "effect": "grant", "kind": "trial", "ends_at": ends}
        put = api.put(f"/v1/overrides/{uuid.uuid4()}", json={**trial, "reason": "they try it before the renewal"})
        put.raise_for_status()


def main() -> None:
    """Take them all."""
    if (why := lacking()) is not None:
        raise SystemExit(why)
    FOLDER.mkdir(exist_ok=True)
    with (
        server() as url,
        migrated_template(url) as template,
        served_console(url, template, bootstrap_api_key=KEY) as at,
        browser() as running,
    ):
        fill(at)
        for name, path, role, (width, height), scheme in PICTURES:
            with person(running, at, role, color_scheme=scheme) as page:
                page.set_viewport_size({"width": width, "height": height})
                page.goto(path)
                page.screenshot(path=FOLDER / f"{name}.png", full_page=True)


if __name__ == "__main__":
    main()
