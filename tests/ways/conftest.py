"""One stage for each module: a few customers in every state, users, an alias, a domain, and an OIDC issuer."""

import uuid
from collections.abc import Iterator

import pytest

from licet.answer.token import Tokens
from licet.manage.catalog import CatalogDesk
from licet.settings import Settings
from licet.store.catalog_writer import PostgresCatalogs
from support.issuer import AUDIENCE, ISSUER, Issuer
from support.web import Stage, stage
from support.world import TESTER

CATALOG = """
[source]
terms = "SignedTos"
[source.aliases]
tenant = "Tenant"
[features.email]
[features.mailboxes]
[features.ratio]
[features.takeover]
[skus.SKU1]
flag = "SKU1"
from = "From"
until = "Until"
grants = { email = true, mailboxes = 100, ratio = 0.5 }
[skus.SKU2]
flag = "SKU2"
grace_days = 3650
grants = { takeover = true, mailboxes = 500 }
"""


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def there(postgres: str, template: str, issuer: Issuer) -> Iterator[Stage]:
    """The web, with customers of which each way is asked."""
    trusted = Settings(
        oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_customer_claim="org", oidc_customer_system="tenant"
    )
    with stage(postgres, template, tokens=Tokens(trusted, issuer.fetch)) as built:
        assert CatalogDesk(PostgresCatalogs(built.url)).apply(CATALOG, TESTER)
        built.deal("acme", SKU1=True, Tenant="4711")
        built.deal("both", SKU1=True, SKU2=True, Tenant="4712")
        built.deal("poor", signed=False, SKU1=True)
        built.deal("gone", SKU1=True)
        built.deal("gone", SKU1=False)
        built.deal("hung", SKU1=True)
        built.deal("hung", signed=False)
        built.deal("late", SKU1=True, From="2999-01-01")
        built.deal("past", SKU1=True, Until="2020-01-01")
        built.deal("lapsed", SKU2=True)
        built.deal("lapsed", SKU2=False)
        for customer, said in (
            ("blocked", {"feature": "email", "effect": "block"}),
            ("blocked", {"sku": "SKU2", "effect": "block"}),
            ("tried", {"sku": "SKU2", "effect": "grant", "kind": "trial"}),
            ("gifted", {"feature": "mailboxes", "effect": "grant", "value": 700}),
        ):
            built.deal(customer, SKU1=True, SKU2=customer == "blocked")
            draft = {"customer": customer, "reason": "a test", **said}
            assert built.web.ask("PUT", f"/v1/overrides/{uuid.uuid4()}", json=draft).status_code == 200
        built.web.put("/v1/customers/acme/domains/acme.example")
        for customer, user in (("poor", "auth0|pat"), ("acme", "auth0|pat"), ("poor", "consultant@acme.example")):
            built.web.put(f"/v1/customers/{customer}/users/{user.replace('|', '%7C')}")
        yield built
