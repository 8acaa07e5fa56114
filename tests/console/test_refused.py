"""A form that is refused: what was typed stays, each fault stands beside its field, and the focus is led to it."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from licet.console.session import Role
from support.browser import DESKTOP, PHONE, SCHEMES, lacking, overflow, person, violations
from support.console import Served, served_console
from support.staged import CATALOG
from support.world import Log, Road, apply_catalog, brake, rows

pytestmark = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    """A console with a feature that has a number, a dead letter, and two licenses that the brake holds."""
    with served_console(postgres, template, brake_ends=1, brake_share=0) as served:
        apply_catalog(served.database, CATALOG)
        served.noise(1)
        log = Log()
        road = Road(served.database, log.name, brake=brake(most=1))
        for flag in (True, False):
            for name in ("Acme", "Cobalt Press", "Dune Optics"):
                road.apply(log.change({"Id": name[:4], "Name": name, "SignedTos": True, "SKU3": flag}))
        road.close()
        yield served


@contextlib.contextmanager
def refused_for(
    at: Served, running: Browser, path: str, role: Role = Role.ADMIN, *, looked_at: bool = False
) -> Iterator[Page]:
    """Lend a page whose form is to be refused; then the focus is at what is said, and nothing was written.

    ``looked_at``: the page of a refusal is accessible and fits.
    """
    before = rows(at.database, "SELECT entry_id FROM audit_entry")
    with person(running, at, role, errors=True) as page:
        page.goto(f"/console/{path}")
        yield page
        expect(page.get_by_role("alert")).to_be_focused()
        assert page.title().startswith("Refused: ")
        for width, height in (PHONE, DESKTOP) if looked_at else ():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert violations(page, scheme) == [], f"{path}, {width} px, {scheme}"
            assert overflow(page) == [], f"{path}, {width} px"
    assert rows(at.database, "SELECT entry_id FROM audit_entry") == before


def grant_form(page: Page) -> Locator:
    """Open the form of a new grant."""
    page.get_by_text("Grant a trial").click()
    return page.locator("#form-new")


def _send(form: Locator, reason: str) -> None:
    form.get_by_label("Reason").fill(reason)
    form.get_by_role("button", name="Do it").click()


def _is_told_of(page: Page, label: str, said: str) -> None:
    """Hold that a field is marked, described by its fault, and led to by the summary."""
    field = page.get_by_label(label, exact=True).and_(page.locator("[aria-invalid=true]"))
    expect(field).to_have_accessible_description(re.compile(re.escape(said)))
    link = page.get_by_role("alert").get_by_role("link").last
    link.click()
    expect(field).to_be_focused()
    page.get_by_role("alert").focus()


def test_a_grant_keeps_its_fields_and_is_sent_again_with_the_one_put_right(at: Served, running: Browser) -> None:
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    with refused_for(at, running, "customers/Acme", looked_at=True) as page:
        form = grant_form(page)
        value = form.get_by_label("Value")
        expect(value).to_be_hidden()
        form.get_by_label("What").select_option("feature:seats")
        form.get_by_label("As", exact=True).select_option("block")
        expect(value).to_be_hidden()
        form.get_by_label("As", exact=True).select_option("grant")
        value.fill("some")
        form.get_by_label("Until, UTC").fill(until)
        _send(form, "they wait for the <order>")
        _is_told_of(page, "Value", 'Expected a number such as 500 or 2.5: seats has one; found "some".')
        kept = {"What": "feature:seats", "As": "grant", "Until, UTC": until, "Value": "some"}
        for label, text in {**kept, "Reason": "they wait for the <order>"}.items():
            expect(form.get_by_label(label, exact=True)).to_have_value(text)
    with person(running, at, Role.ADMIN) as page:
        page.goto("/console/customers/Acme")
        form = grant_form(page)
        form.get_by_label("What").select_option("feature:seats")
        form.get_by_label("Value").fill("2,5")
        _send(form, "the order came")
        expect(page.get_by_role("status")).to_contain_text("seats is granted with 2.5 until")
        expect(page.locator("#held").get_by_role("row", name="Seats")).to_contain_text("✓ yes 2.5")


def test_a_value_for_what_has_none_is_refused(at: Served, running: Browser) -> None:
    with refused_for(at, running, "customers/Acme") as page:
        form = grant_form(page)
        form.get_by_label("What").select_option("feature:seats")
        form.get_by_label("Value").fill("7")
        form.get_by_label("What").select_option("sku:SKU3")
        _send(form, "a slip")
        _is_told_of(page, "Value", "Expected nothing: only features with a number have one")


def test_a_supporter_who_asks_for_too_long_keeps_the_fields(at: Served, running: Browser) -> None:
    with refused_for(at, running, "customers/Dune", Role.SUPPORT) as page:
        form = grant_form(page)
        form.get_by_label("Until, UTC").evaluate("(field) => { field.removeAttribute('max'); }")
        form.get_by_label("Until, UTC").fill("2099-01-01T00:00")
        _send(form, "for ever")
        expect(page.get_by_role("alert")).to_contain_text("grants of up to 14 days")
        expect(form.get_by_label("Until, UTC")).to_have_value("2099-01-01T00:00")
        expect(form.get_by_label("Reason")).to_have_value("for ever")


def test_an_old_page_s_change_is_shown_again_beside_what_the_override_is_now(at: Served, running: Browser) -> None:
    def change(page: Page, was: str, reason: str) -> None:
        given = page.locator("article.exception").filter(has_text=was)
        given.get_by_text("Extend or end").click()
        given.get_by_label("Reason").fill(reason)
        given.get_by_role("button", name="Extend").click()

    with person(running, at, Role.ADMIN) as page, person(running, at, Role.ADMIN, errors=True) as old:
        page.goto("/console/customers/Coba")
        form = grant_form(page)
        _send(form, "first")
        expect(page.get_by_role("status")).to_contain_text("is granted until")
        old.goto(page.url)
        change(page, "first", "second")
        expect(page.get_by_role("status")).to_contain_text("It lasts until")
        change(old, "first", "third")
        expect(old.get_by_role("alert")).to_be_focused()
        expect(old.get_by_role("alert")).to_contain_text("Conflict")
        given = old.locator("article.exception").filter(has_text="second")
        expect(given.get_by_label("Reason")).to_have_value("third")
        given.get_by_role("button", name="Extend").click()
        expect(old.locator("article.exception").filter(has_text="third")).to_be_visible()
        page.goto(old.url)
        given = page.locator("article.exception").filter(has_text="third")
        given.get_by_text("Extend or end").click()
        given.get_by_label("Reason").fill("bought")
        given.get_by_role("button", name="End it now").click()
        expect(page.get_by_role("status")).to_contain_text("It is ended")
        change(old, "third", "fourth")
        expect(old.get_by_role("alert")).to_contain_text("was ended")
        expect(old.get_by_role("alert")).not_to_contain_text("is kept")  # there is no form for it any more


def test_the_brake_keeps_the_reason_and_what_was_chosen(at: Served, running: Browser) -> None:
    with refused_for(at, running, "brake", looked_at=True) as page:
        page.get_by_label("Why").fill("they left")
        page.get_by_role("button", name="Release the chosen").click()
        expect(page.get_by_role("alert")).to_contain_text("none chosen")
        expect(page.get_by_label("Why")).to_have_value("they left")
        first = page.get_by_role("checkbox").first
        expect(first).to_have_accessible_description(re.compile("at least one, chosen in the list"))
    with refused_for(at, running, "brake") as page:
        page.get_by_role("checkbox").nth(1).check()
        page.get_by_label("Why").fill("   ")
        page.get_by_role("button", name="Keep the chosen").click()
        _is_told_of(page, "Why", "1 to 400 characters that say why")
        assert [one.is_checked() for one in page.get_by_role("checkbox").all()] == [False, True]


@pytest.mark.parametrize(
    ("path", "button"),
    [
        ("brake?ended=1", "Hold what ended before"),
        ("dead-letters/1", "Drop"),
        ("keys", "person's"),
    ],
)
def test_a_reason_that_is_none_is_said_beside_its_field(at: Served, running: Browser, path: str, button: str) -> None:
    with refused_for(at, running, path) as page:
        if path == "keys":
            page.get_by_label("Name", exact=True).fill("bea")
        page.get_by_label("Why").fill(" ")
        page.get_by_role("button", name=button).click()
        _is_told_of(page, "Why", "characters that say why")
        if path == "keys":
            expect(page.get_by_label("Name", exact=True)).to_have_value("bea")


def test_search_and_forms_are_used_by_the_keyboard(at: Served, running: Browser) -> None:
    with person(running, at, Role.ADMIN) as page:
        page.goto("/console")
        page.keyboard.type("dune")
        expect(page.get_by_role("heading", name="1 customer")).to_be_visible()
        page.keyboard.press("Escape")  # empties the field
        expect(page.get_by_role("heading", name="Customers, by name")).to_be_visible()
        page.keyboard.type("dune")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("q=dune"))
        page.get_by_role("link", name="Dune Optics").press("Enter")
        page.get_by_text("Grant a trial, or block").press("Enter")
        order = list[str]()
        while order[-1:] != ["BUTTON"]:
            page.keyboard.press("Tab")
            order.append(page.evaluate("() => document.activeElement.name || document.activeElement.tagName"))
            assert len(order) < 20
        # The time is a field of several parts: day, month, year, hour, minute, the picker.
        assert list(dict.fromkeys(order)) == ["what", "effect", "ends_at", "reason", "BUTTON"]
        page.keyboard.press("Shift+Tab")
        page.keyboard.type("by keys alone")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("is granted until")
        given = page.locator("article.exception").filter(has_text="by keys alone")
        given.get_by_text("Extend or end").press("Enter")
        given.get_by_label("Reason").press("Enter")  # an empty field that is needed: nothing is sent
        expect(given.get_by_label("Reason")).to_be_focused()
        given.get_by_label("Reason").fill("longer")
        page.keyboard.press("Enter")  # it extends: nothing is ended by Enter alone
        expect(page.get_by_role("status")).to_contain_text("It lasts until")
