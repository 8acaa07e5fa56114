"""The logged-in user: by membership, else by e-mail domain; of several customers any may allow."""

from support.web import Stage
from support.world import fresh

FEATURE = "inbound-email-security"


def test_a_member_is_asked_about_by_id_or_by_address_in_any_case(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.web.put(f"/v1/customers/{customer}/users/auth0%7C{customer}")
    there.web.put(f"/v1/customers/{customer}/users/Ada.{customer}@Mail.example")
    for user in (f"auth0|{customer}", f"ada.{customer}@mail.example", f"ADA.{customer}@MAIL.EXAMPLE"):
        decision = there.web.check(FEATURE, user=user)
        assert (decision["allowed"], decision["customer"]) == (True, customer), user
    assert there.web.check(FEATURE, user=f"AUTH0|{customer}")["reason"] == "unknown_user"


def test_an_address_at_a_verified_domain_belongs_to_the_customer(there: Stage) -> None:
    customer = fresh("customer")
    there.deal(customer, SKU1=True)
    there.web.put(f"/v1/customers/{customer}/domains/{customer}.example")
    assert there.web.check(FEATURE, user=f"anyone@{customer}.example")["customer"] == customer
    assert there.web.check(FEATURE, user=f"anyone@sub.{customer}.example")["reason"] == "unknown_user"
    assert there.web.check(FEATURE, user=f"{customer}.example")["reason"] == "unknown_user"


def test_a_membership_goes_before_the_domain(there: Stage) -> None:
    employer, client = fresh("employer"), fresh("client")
    there.deal(employer, SKU1=True)
    there.deal(client, SKU2=True)
    there.web.put(f"/v1/customers/{employer}/domains/{employer}.example")
    user = f"consultant@{employer}.example"
    assert there.web.check(FEATURE, user=user)["allowed"] is True
    there.web.put(f"/v1/customers/{client}/users/{user}")
    decision = there.web.check(FEATURE, user=user)
    assert (decision["allowed"], decision["customer"]) == (False, client)


def test_a_user_of_several_customers_is_allowed_if_any_allows_and_a_customer_narrows_it(there: Stage) -> None:
    rich, poor, other = fresh("rich"), fresh("poor"), fresh("other")
    there.deal(rich, SKU1=True)
    there.deal(poor, signed=False, SKU1=True)
    there.deal(other, SKU1=True)
    user = fresh("user")
    for customer in (poor, rich):
        there.web.put(f"/v1/customers/{customer}/users/{user}")
    there.web.put(f"/v1/customers/{rich}/aliases/tenant:{rich}")
    assert there.web.check(FEATURE, user=user)["customer"] == rich
    assert there.web.check(FEATURE, user=user, customer=poor)["reason"] == "terms_not_signed"
    assert there.web.check(FEATURE, user=user, customer=f"tenant:{rich}")["allowed"] is True
    assert there.web.check(FEATURE, user=user, customer=other)["reason"] == "unknown_user"


def test_of_several_refusals_the_nearest_to_yes_is_told(there: Stage) -> None:
    revoked, pending = fresh("revoked"), fresh("pending")
    there.deal(revoked, SKU1=True)
    there.deal(revoked, SKU1=False)
    there.deal(pending, signed=False, SKU1=True)
    user = fresh("user")
    for customer in (revoked, pending):
        there.web.put(f"/v1/customers/{customer}/users/{user}")
    decision = there.web.check(FEATURE, user=user)
    assert (decision["reason"], decision["customer"]) == ("terms_not_signed", pending)


def test_a_membership_that_ended_no_longer_counts(there: Stage) -> None:
    customer, user = fresh("customer"), fresh("user")
    there.deal(customer, SKU1=True)
    there.web.put(f"/v1/customers/{customer}/users/{user}")
    assert there.web.check(FEATURE, user=user)["allowed"] is True
    ended = there.web.ask("DELETE", f"/v1/customers/{customer}/users/{user}").json()
    decision = there.web.check(FEATURE, user=user)
    assert (decision["reason"], decision["revision"]) == ("unknown_user", ended["revision"])
