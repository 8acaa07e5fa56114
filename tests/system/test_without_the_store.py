"""The database goes away, and the product's questions are answered all the same."""

import pathlib

import pytest

from support.processes import deployed, eventually, new_database
from support.proxy import proxied
from system.payloads import EMAIL, customer

pytestmark = pytest.mark.xdist_group("system-store")


def test_a_running_service_answers_without_its_database_and_says_how_old_the_answer_is(
    folder: pathlib.Path, postgres: str
) -> None:
    with new_database(postgres) as database, proxied(database) as (proxy, url):
        settings = {"LICET_STALE_AFTER_S": "3"}
        with deployed(folder, url, settings=settings) as deployment:
            wire = deployment.wire
            acme = customer(SKU1=True)
            wire.applied(acme)
            before = wire.check(EMAIL, customer=acme["Id"])
            assert before["reason"] == "licensed"
            assert before["lag_ms"] is not None

            proxy.close()
            assert wire.ask("GET", f"/v1/customers/{acme['Id']}").status_code == 503
            old = eventually(
                "an answer older than the limit",
                lambda: found if (found := wire.check(EMAIL, customer=acme["Id"]))["age_ms"] > 3000 else None,
            )
            assert (old["allowed"], old["reason"], old["revision"]) == (True, "licensed", before["revision"])
            assert wire.check(EMAIL, customer="nobody")["reason"] == "unknown_customer"
            assert 'licet_stale_answers_total{when_stale="last_known"}' in wire.ask("GET", "/metrics", key=None).text
            deployment.web.wait_for("answers_stale")
