"""A deployment to look at: the real web process with its console and a real worker, on a database of its own."""

import asyncio
import concurrent.futures
import contextlib
import datetime as dt
import pathlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from licet.bootstrap.desks import catalog_desk, drift_desk, key_desk, refold_customers
from licet.bootstrap.worker import worker_thread
from licet.domain.principal import Actor
from licet.settings import Settings
from licet.store.migrate import default_catalog
from support.console import Served, served_console

OPERATOR = Actor("ada@licet.example")
KEY = "an-admin-key-of-the-console"
ACME = "0015g00000AbCdEAAV"
# The brake holds from the third end within the hour on.
BRAKE: dict[str, Any] = {"brake_ends": 2, "brake_share": 0}
CATALOG = (
    default_catalog()
    .replace('flag = "SKU1"\ngrants = { inbound', 'flag = "MAIL__c"\ngrants = { seats = 50, inbound')
    .replace('flag = "SKU2"', 'flag = "SKU2"\nuntil = "SKU2_End__c"\ngrace_days = 14')
    .replace("[skus.SKU1]", '[features.seats]\ntitle = "Seats"\nwhen_stale = "closed"\n\n[skus.SKU1]')
    + '\n[[exclude]]\nname = "tests of sales"\nfield = "Name"\nends_with = [" (test)"]\n'
)


def fill_customers(at: Served) -> None:
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


async def _make_keys(settings: Settings) -> str:
    """Make those of a product and of Salesforce; returns what the latter sends."""
    async with key_desk(settings) as keys:
        await keys.create("product", ["read"], OPERATOR)
        old = await keys.create("salesforce (sandbox)", ["ingest"], OPERATOR)
        await keys.revoke(old.key.key_id, OPERATOR)
        return (await keys.create("salesforce", ["ingest"], OPERATOR)).token


class _Bar:
    """Nobody looks."""

    def begins(self, what: str, whole: int) -> None:
        pass

    def told(self, more: int) -> None:
        pass


class Staged:
    """``at`` is the console; whatever is posted is applied by the worker."""

    def __init__(self, at: Served) -> None:
        self.at = at
        self._key = KEY

    def post(self, customer: str, status: int = 202, **fields: Any) -> None:
        """Post a change as Salesforce does, with a key."""
        payload = {"Id": customer, "SignedTos": True, **fields}
        headers = {"authorization": f"Bearer {self._key}"}
        answer = httpx.post(f"{self.at.url}/salesforce/webhook", json=payload, headers=headers)
        assert answer.status_code == status, answer.text

    def bad_post(self) -> None:
        """Post what the catalog cannot read; it is kept as a dead letter of the door."""
        self.post("halcyon", 422, Name="Halcyon Ferries", SKU1="yes", MAIL__c=True)

    def trip(self) -> None:
        """Let five licenses end at once: the brake lets two and holds three."""
        names = {"acme": "Acme", "borealis": "Borealis Foods", "cobalt": "Cobalt Press", "dune": "Dune Optics"}
        names["ember"] = "Ember & Ash, a company whose name does not fit one line of a phone"
        for given in (True, False):
            for customer, name in names.items():
                self.post(customer, Name=name, SKU2=given)

    def compare(self, folder: pathlib.Path) -> None:
        """Reconcile with an export that lacks customers and has one that the store does not."""
        export = folder / "accounts.csv"
        export.write_text("Id,SKU2\nacme,false\nborealis,true\nvela,true\n#rows,3\n")
        drift_desk(Settings(database_url=self.at.database)).reconcile(
            export, Actor("nightly"), None, lambda _: None, _Bar()
        )

    def fill(self, folder: pathlib.Path) -> None:
        """Make something to see on every page."""
        settings = Settings(database_url=self.at.database)
        with concurrent.futures.ThreadPoolExecutor(1) as thread:  # a browser has a loop in this one
            self._key = thread.submit(asyncio.run, _make_keys(settings)).result()
        known = {"authorization": f"Bearer {self._key}"}
        until(lambda: httpx.get(f"{self.at.url}/v1/skus", headers=known).status_code == 403)  # it may only post
        self.bad_post()
        self._wait_for_letters(1)
        assert catalog_desk(settings).apply(CATALOG, OPERATOR) is not None
        self.trip()
        future = (dt.datetime.now(dt.UTC) + dt.timedelta(days=9)).isoformat()
        self.post("acme", EventId="e-2041", SystemModstamp=future, SKU2=True)
        self.post("grove", Name="Grove (test)", MAIL__c=True, Plan__c="gold")
        self._wait_for_letters(2)
        self.compare(folder)
        assert list(refold_customers(settings))

    def _wait_for_letters(self, count: int) -> None:
        with httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
            until(lambda: len(client.get(f"{self.at.url}/v1/dead-letters").json()["items"]) == count)


def until(holds: Callable[[], bool], limit_s: float = 15.0) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < ends, "it does not come to hold"
        time.sleep(0.05)


@contextlib.contextmanager
def staged_console(server_url: str, template: str, **settings: Any) -> Iterator[Staged]:
    """Serve a console, a door and a worker until the block ends."""
    with (
        served_console(server_url, template, bootstrap_api_key=KEY, **BRAKE, **settings) as served,
        worker_thread(Settings(database_url=served.database, **BRAKE)),
    ):
        yield Staged(served)
