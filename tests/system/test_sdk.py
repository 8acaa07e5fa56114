"""The SDK on the real service: what Salesforce says is enforced in the application, whatever is down."""

import asyncio
import pathlib
import signal

import pytest

from licet_sdk import AsyncLicet, Licet
from support.processes import ADMIN, deployed, eventually, new_database
from support.proxy import proxied
from system.payloads import EMAIL, customer


def test_a_deal_is_enforced_in_a_connected_application_and_goes_on_being_so_when_everything_is_down(
    folder: pathlib.Path, postgres: str, tmp_path: pathlib.Path
) -> None:
    acme = customer(SKU1=True)
    with new_database(postgres) as database, proxied(database) as (proxy, url), deployed(folder, url) as deployment:
        wire = deployment.wire
        wire.applied(acme)
        wire.put(f"/v1/customers/{acme['Id']}/domains/deal.example")
        with Licet(url=wire.url, key=ADMIN, cache_dir=tmp_path, features=[EMAIL]) as licet:
            assert licet.wait_ready(20)
            told = licet.check(EMAIL, customer=acme["Id"])
            asked = wire.check(EMAIL, customer=acme["Id"])
            same = ("allowed", "reason", "message", "customer", "feature", "value", "sku", "license_id")
            assert {name: str(getattr(told, name)) for name in same} == {name: str(asked[name]) for name in same}
            assert licet.allowed(EMAIL, user="ada@deal.example")
            assert not licet.allowed(EMAIL, customer="nobody")

            change = wire.applied(acme | {"SKU1": False})
            eventually("the end is enforced", lambda: not licet.allowed(EMAIL, customer=acme["Id"]) or None, 5, 0.01)
            assert licet.check(EMAIL, customer=acme["Id"]).revision >= change["revision"]
            wire.applied(acme)
            eventually("and the new deal", lambda: licet.allowed(EMAIL, customer=acme["Id"]) or None, 5, 0.01)

            proxy.close()
            for process in (deployment.web, *deployment.workers):
                process.signal(signal.SIGKILL)
            assert licet.allowed(EMAIL, customer=acme["Id"])
        with Licet(url=wire.url, key=ADMIN, cache_dir=tmp_path) as restarted:
            assert restarted.allowed(EMAIL, customer=acme["Id"])
            assert restarted.check(EMAIL, user="ada@deal.example").reason == "licensed"


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_the_asynchronous_client_tells_the_same(folder: pathlib.Path, postgres: str, mode: str) -> None:
    acme = customer(SKU1=True)
    with new_database(postgres) as database, deployed(folder, database) as deployment:
        deployment.wire.applied(acme)

        async def ask() -> tuple[bool, str]:
            async with AsyncLicet(url=deployment.wire.url, key=ADMIN, mode=mode) as licet:  # type: ignore[arg-type]
                assert await licet.wait_ready(20)
                decision = await licet.check(EMAIL, customer=acme["Id"])
                return await licet.allowed(EMAIL, customer=acme["Id"]), decision.reason

        assert asyncio.run(ask()) == (True, "licensed")
