"""Names that a Salesforce field gives, and what a person may do with them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from licet.manage.catalog import CatalogDesk
from licet.store.catalog_writer import PostgresCatalogs
from support.web import Stage, stage
from support.world import TESTER, fresh

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "custom-fields.toml"


@pytest.fixture(scope="module")
def custom(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        CatalogDesk(PostgresCatalogs(built.url)).apply(EXAMPLE.read_text(), TESTER)
        yield built


def test_a_person_cannot_take_what_salesforce_would_give_again(custom: Stage) -> None:
    customer, tenant = fresh("customer"), fresh("tenant")
    custom.send({"Id": customer, "Tenant_Id__c": tenant, "EmailDomain__c": f"{tenant}.example"})
    for path in (f"aliases/tenant:{tenant}", f"domains/{tenant}.example"):
        answer = custom.web.ask("DELETE", f"/v1/customers/{customer}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert custom.web.get(f"/v1/customers/tenant:{tenant}")["id"] == customer


def test_what_a_person_confirms_stays_when_salesforce_takes_its_own_back(custom: Stage) -> None:
    customer, tenant = fresh("customer"), fresh("tenant")
    custom.send({"Id": customer, "Tenant_Id__c": tenant, "EmailDomain__c": f"{tenant}.example", "SKU1__c": True})
    custom.web.put(f"/v1/customers/{customer}/aliases/tenant:{tenant}")
    custom.web.put(f"/v1/customers/{customer}/domains/{tenant}.example")
    custom.send({"Id": customer, "Tenant_Id__c": None, "EmailDomain__c": None})
    assert custom.web.check("mailboxes", customer=f"tenant:{tenant}")["allowed"] is True
    assert custom.web.check("mailboxes", user=f"ada@{tenant}.example")["customer"] == customer


def test_a_person_cannot_give_an_alias_that_salesforce_gave_to_another(custom: Stage) -> None:
    customer, other, tenant = fresh("customer"), fresh("other"), fresh("tenant")
    custom.send({"Id": customer, "Tenant_Id__c": tenant})
    custom.send({"Id": other})
    assert custom.web.ask("PUT", f"/v1/customers/{other}/aliases/tenant:{tenant}").status_code == 409
