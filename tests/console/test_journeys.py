"""What a salesperson and a supporter do all day, in a real browser on the real web process."""

import datetime as dt
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from licet.console.session import Role
from support.browser import PHONE, lacking, person
from support.console import Served, served_console
from support.world import rows

pytestmark = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")
ACME = "0015g00000AbCdEAAV"


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    with served_console(postgres, template) as served:
        served.deal(ACME, Name="Acme Logistics GmbH", SKU1=True, SKU2=True, AccountManager="Ada Byron")
        served.deal(ACME, SKU2=False)
        for number in range(20):
            served.deal(ACME, SKU3=number % 2 == 0)
        served.deal("umbra", Name="Umbra Health", SignedTos=False, SKU1=True, AccountManager="Ada Byron")
        yield served


def find(page: Page, text: str) -> None:
    """Type as a person does; what is found comes without a press of a key more."""
    page.goto("/console")
    page.get_by_label("Find a customer").press_sequentially(text, delay=5)


def test_why_can_umbra_not_log_in_takes_one_search_and_less_than_five_seconds(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES) as page:
        began = time.monotonic()
        find(page, "umbr")
        page.get_by_role("link", name="Umbra Health").click()
        page.get_by_role("button", name="Ask").click()
        answer = page.locator("#answer")
        expect(answer).to_contain_text("No. Umbra Health may not use Inbound email security")
        expect(answer).to_contain_text("waits since")
        expect(answer).to_contain_text("ask Ada Byron")
        assert time.monotonic() - began < 5


def test_a_salesperson_sees_what_a_customer_had_and_changes_nothing(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES) as page:
        find(page, "logis")
        page.get_by_role("link", name="Acme Logistics").click()
        held = page.locator("#held")
        expect(held.get_by_role("row", name="Account takeover protection SKU2")).to_contain_text("ended")
        page.get_by_label("From").fill("0")
        expect(held).to_contain_text("So it was then")
        expect(page.get_by_role("link", name="Back to now")).to_be_visible()
        expect(page.get_by_text("Grant a trial")).to_have_count(0)
        events = page.locator("#events")
        expect(events).to_contain_text("SKU3 is ended, was active")
        pages = 0
        while (older := page.get_by_role("link", name="Older")).count():
            where, pages = older.get_attribute("href"), pages + 1
            older.click()
            expect(page.locator(f'a[href="{where}"]')).to_have_count(0)
        assert pages >= 2
        expect(events).to_contain_text("SKU1 is active")


def test_a_supporter_grants_extends_and_ends_a_trial_and_the_audit_names_her(at: Served, running: Browser) -> None:
    with person(running, at, Role.SUPPORT, viewport={"width": PHONE[0], "height": PHONE[1]}) as page:
        page.goto(f"/console/customers/{ACME}")
        page.get_by_text("Grant a trial").click()
        page.get_by_label("What", exact=True).select_option("sku:SKU2")
        page.get_by_label("Reason").fill("they wait for the purchase order")
        page.get_by_role("button", name="Do it").click()
        expect(page.get_by_role("status")).to_contain_text("SKU2 is granted until")
        trial = page.locator("article.exception").filter(has_text="they wait for the purchase order")
        expect(trial).to_contain_text("ada@licet.example")
        row = page.locator("#held").get_by_role("row").filter(has_text="Granted by a person")
        expect(row).to_contain_text("✓ yes")
        trial.get_by_text("Extend or end").click()
        later = dt.datetime.now(dt.UTC) + dt.timedelta(days=10)
        trial.get_by_label("Until").fill(later.strftime("%Y-%m-%dT%H:%M"))
        trial.get_by_label("Reason").fill("the order takes a week")
        trial.get_by_role("button", name="Extend").click()
        expect(page.get_by_role("status")).to_contain_text(f"It lasts until {later:%d %b %Y}")
        trial = page.locator("article.exception").filter(has_text="the order takes a week")
        trial.get_by_text("Extend or end").click()
        trial.get_by_label("Reason").fill("the order came")
        trial.get_by_role("button", name="End it now").click()
        expect(page.get_by_role("status")).to_contain_text("It is ended")
        expect(page.locator("article.exception")).to_have_count(0)
    done = rows(at.database, "SELECT actor, via, action, reason FROM audit_entry ORDER BY entry_id")
    assert [(one["actor"], one["via"]) for one in done] == [("ada@licet.example", "page")] * 3
    assert [one["reason"] for one in done] == [
        "they wait for the purchase order",
        "the order takes a week",
        "the order came",
    ]


def test_all_is_reached_by_the_keyboard_alone(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES) as page:
        page.goto("/console")
        expect(page.get_by_label("Find a customer")).to_be_focused()
        page.keyboard.type("acme")
        expect(page.get_by_role("heading", name="1 customer")).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"/console/customers/{ACME}"))
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()


def test_it_works_without_a_script(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES, java_script_enabled=False) as page:
        page.goto("/console")
        page.get_by_label("Find a customer").fill("umbra")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("link", name="Umbra Health").click()
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).to_contain_text("may not use")


def test_an_error_and_a_session_that_ended_are_seen_where_a_script_asked(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES, errors=True) as page:
        page.goto("/console")
        away = "<main id='content'><h1>Not available now</h1></main>"
        page.route("**/console?q=acme", lambda route: route.fulfill(status=503, content_type="text/html", body=away))
        page.get_by_label("Find a customer").fill("acme")
        expect(page.get_by_role("heading", name="Not available now")).to_be_visible()
        page.goto("/console")
        page.context.clear_cookies()
        page.get_by_label("Find a customer").fill("umbra")
        expect(page).to_have_url(re.compile("/console/sign-in"))
