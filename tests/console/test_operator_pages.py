"""The pages of whoever runs it: who may see and do what, the journeys of an on-call engineer, and how they look."""

import html
import re
import shlex
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from licet.console.desks import slice_of
from licet.console.session import Role
from support.browser import DESKTOP, PHONE, SCHEMES, lacking, overflow, person, violations
from support.console import form_token
from support.staged import CATALOG, KEY, Staged, staged_console, until
from support.world import apply_catalog, rows

needs_browser = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")
# Every page, and the role that it needs at least.
PAGES = {
    "now": Role.SALES,
    "dead-letters": Role.SALES,
    "dead-letters?state=any&reason=source_time_in_future": Role.SALES,
    "dead-letters/1": Role.SALES,
    "drift": Role.SALES,
    "sources": Role.SALES,
    "catalog": Role.SALES,
    "catalog?version=2": Role.SALES,
    "brake": Role.SUPPORT,
    "brake?ended=1": Role.SUPPORT,
    "keys": Role.ADMIN,
    "audit": Role.ADMIN,
}
ACTS = {"dead-letters": {}, "dead-letters/1": {"do": "drop", "reason": "x"}, "brake": {"do": "all", "reason": "x"}}


@pytest.fixture(scope="module")
def stage(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    with staged_console(postgres, template) as staged:
        staged.fill(tmp_path_factory.mktemp("export"))
        yield staged


@pytest.fixture
def stage_of_journey(postgres: str, template: str) -> Iterator[Staged]:
    with staged_console(postgres, template) as staged:
        yield staged


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_those_whose_role_has_it(stage: Staged, path: str) -> None:
    order = list(Role)
    for role in Role:
        with stage.at.client(role) as client:
            answer = client.get(f"/console/{path}")
            allowed = order.index(role) >= order.index(PAGES[path])
            assert answer.status_code == (200 if allowed else 403), role
            assert (f'href="/console/{path.partition("?")[0].partition("/")[0]}"' in answer.text) is allowed
    with stage.at.client() as stranger:
        assert stranger.get(f"/console/{path}").status_code == 303


@pytest.mark.parametrize("path", ACTS)
def test_an_act_takes_an_admin_and_a_form_of_its_own_session(stage: Staged, path: str) -> None:
    before = rows(stage.at.database, "SELECT FROM audit_entry")
    for role in (Role.SALES, Role.SUPPORT):
        with stage.at.client(role) as client:
            token = form_token(client.get("/console").text)
            refused = client.post(f"/console/{path}", data={"form_token": token, **ACTS[path]})
            assert refused.status_code == 403
            assert "lacks the scope admin" in refused.text
    with stage.at.client(Role.ADMIN) as client:
        for token in ("", "0" * 64):
            forged = client.post(f"/console/{path}", data={"form_token": token, **ACTS[path]})
            assert forged.status_code == 403
            assert "not of your present session" in forged.text
    assert rows(stage.at.database, "SELECT FROM audit_entry") == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("dead-letters/999", "There is no dead letter 999"),
        ("dead-letters?state=lost", "open, replaying, replayed, dropped"),
        ("dead-letters?cursor=x", "the `next` of a page of this list"),
        ("catalog?version=77", "There is no version 77 of the catalog"),
        ("audit?action=x", "key.create"),
        ("now/stream?after=x", "a whole number from 0"),
    ],
)
def test_what_cannot_be_shown_is_a_page_that_says_why(stage: Staged, path: str, said: str) -> None:
    with stage.at.client(Role.ADMIN) as client:
        answer = client.get(f"/console/{path}")
        assert answer.status_code in (404, 422, 400)
        assert said in answer.text
        assert "<h1>" in answer.text


def test_pages_say_what_the_store_has(stage: Staged) -> None:
    with stage.at.client(Role.ADMIN) as client:

        def page(path: str) -> str:
            return client.get(f"/console/{path}").text

        for said in ("Plan__c", "invalid input", "salesforce"):
            until(lambda said=said: said in page("sources"))  # type: ignore[misc]
        assert "1 missing" in page("now")
        assert "accounts.csv" in page("drift")
        catalog = page("catalog?version=2")
        for said in (
            "MAIL__c",
            "14 days",
            "seats: 50",
            "closed to all",
            "<ins>+flag = &#34;MAIL__c",
            "ends with",
            "applied by ada@licet.example",
        ):
            assert said in catalog, said
        assert "What it changed" not in page("catalog?version=1")
        assert "catalog.apply" in page("audit?action=catalog.apply&actor=ada")
        assert "catalog.apply</b>" not in page("audit?actor=nobody")


def test_before_the_first_event_a_page_says_how_to_send_one_and_streams_end_when_licet_stops(
    postgres: str, template: str
) -> None:
    with staged_console(postgres, template) as fresh, fresh.at.client(Role.SALES) as client:
        page = client.get("/console/sources").text
        assert "Nobody has posted yet" in page
        line = html.unescape(page.partition('<code id="curl">')[2].partition("</code>")[0])
        command, data, body, header, name, url = shlex.split(line.replace("$KEY", KEY))
        assert (command, data, header) == ("curl", "-d", "-H")
        sent = httpx.post(url, content=body, headers=dict([name.split(": ")]))
        assert sent.status_code == 202, sent.text
        until(lambda: "Nobody has posted yet" not in client.get("/console/sources").text)
        until(lambda: "acme.example" in client.get("/console/now").text)
        with client.stream("GET", "/console/now/stream") as stream:
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            lines = stream.iter_lines()
            until(lambda: next(lines) == "id: 1")
            fresh.at.web.stop_streams()
            assert [line for line in lines if line.startswith("id:")] == []  # and they come to an end
        assert client.get("/console/now/stream").status_code == 503


def test_a_list_at_hand_is_told_in_pages_without_a_gap() -> None:
    names = [f"{number:02}" for number in range(7)]
    seen, cursor = list[str](), ""
    while True:
        page = slice_of(names[::-1], str, cursor, 3)
        seen += page.items
        if page.next is None:
            break
        cursor = page.next
    assert seen == names


@needs_browser
@pytest.mark.parametrize("path", [path for path in PAGES if "?" not in path] + ["brake?ended=1"])
def test_every_page_is_accessible_and_fits(stage: Staged, running: Browser, path: str) -> None:
    with person(running, stage.at, Role.ADMIN) as page:
        page.goto(f"/console/{path}")
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for width, height in (PHONE, DESKTOP):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert violations(page, scheme) == [], f"{path}, {width} px, {scheme}"
            assert overflow(page) == [], f"{path}, {width} px"


def _sees(page: Page, text: str) -> None:
    expect(page.locator("#state")).to_contain_text(text)


def test_a_long_list_is_told_in_pages_and_what_can_be_replayed_is_at_once(stage: Staged) -> None:
    stage.at.noise(60)
    with stage.at.client(Role.ADMIN) as client:
        first = client.get("/console/dead-letters").text
        assert first.count('data-label="Letter"') == 50
        older = re.search(r'href="(\?[^"]+)">Older', first)
        assert older is not None
        second = client.get(f"/console/dead-letters{html.unescape(older[1])}").text
        assert second.count('data-label="Letter"') == 12
        assert "Older" not in second
        sent = client.post("/console/dead-letters", data={"form_token": form_token(first), "reason": "unreadable"})
        said = client.get(sent.headers["location"]).text
        assert "1 in the queue again; 60 cannot be replayed as they are." in said
        until(lambda: "Halcyon Ferries" in client.get("/console/now").text)
        replays = rows(
            stage.at.database, "SELECT actor FROM audit_entry WHERE action = 'letter.replay' AND via = 'page'"
        )
        assert replays == [{"actor": "ada@licet.example"}]


@needs_browser
def test_on_call(stage_of_journey: Staged, running: Browser) -> None:
    """A change is seen at once; a dead letter is read and replayed once the catalog reads it; the brake is released."""
    stage = stage_of_journey
    with person(running, stage.at, Role.ADMIN, errors=True) as page:
        stage.post("acme", Name="Acme", SKU1=True)
        page.goto("/console/now")
        _sees(page, "All is well")
        expect(page.locator("#live")).to_have_text("Live.")
        assert min(_seen_after(stage, page, number) for number in range(5)) < 1
        _handles_a_dead_letter(stage, page)
        _handles_the_brake(stage, page)
        page.goto("/console/audit")
        for said in ("letter.replay", "letter.drop", "brake.release", "override.put", "at the console"):
            expect(page.locator("tbody")).to_contain_text(said)


def _seen_after(stage: Staged, page: Page, number: int) -> float:
    """Return how long after its post a change is on the page, in seconds; a machine that is busy has slow ones."""
    began = time.monotonic()
    stage.post(f"late-{number}", Name=f"Late <img src={number}>", SKU1=True)
    page.get_by_role("link", name=f"Late <img src={number}>").wait_for()
    return time.monotonic() - began


def _handles_a_dead_letter(stage: Staged, page: Page) -> None:
    stage.bad_post()
    stage.post("acme", 422, SKU1="maybe")
    _sees(page, "One thing to look at: Dead letters")
    expect(page.get_by_role("status")).to_contain_text("One thing to look at: Dead letters")
    _sees(page, "2 open")
    page.get_by_role("link", name="Go to dead letters").click()
    page.get_by_role("link", name="Letter 1").click()
    expect(page.locator("main")).to_contain_text('SKU1: found "yes", expected true, false or null.')
    expect(page.locator("pre")).to_contain_text("Halcyon Ferries")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("main")).to_contain_text("it cannot be read yet")
    apply_catalog(stage.at.database, CATALOG)
    until(lambda: _replayed(page))
    page.goto("/console/dead-letters/2")
    page.get_by_label("Why").fill("a slip of the sender")
    page.get_by_role("button", name="Drop").click()
    expect(page.locator("main")).to_contain_text("Dead letter 2 is dropped.")
    page.goto("/console/now")
    page.get_by_role("link", name="Halcyon Ferries").wait_for()
    _sees(page, "All is well")


def _replayed(page: Page) -> bool:
    """Press the button; the web process learns of a catalog within a second."""
    page.goto("/console/dead-letters/1")
    page.get_by_role("button", name="Replay").click()
    return "It is in the queue again" in (page.locator("main").text_content() or "")


def _handles_the_brake(stage: Staged, page: Page) -> None:
    stage.trip()
    _sees(page, "One thing to look at: Brake")
    page.get_by_role("link", name="Go to brake").click()
    boxes = page.get_by_role("checkbox")
    expect(boxes).to_have_count(3)
    page.get_by_label("Why").fill("they left, but for one")
    page.get_by_role("button", name="Keep the chosen, release the rest").click()
    expect(page.locator("main")).to_contain_text("none chosen")
    page.go_back()
    boxes.first.check()
    page.get_by_label("Why").fill("they left, but for one")
    page.get_by_role("button", name="Keep the chosen, release the rest").click()
    expect(page.locator("main")).to_contain_text("Licenses released or kept: 3")
    page.get_by_role("link", name="What ended before").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Why").fill("they stay until sales has called")
    page.get_by_role("button", name="Hold what ended before").click()
    expect(page.locator("main")).to_contain_text("Licenses held: 2")
    page.get_by_label("Why").fill("sales has called")
    page.get_by_role("button", name="Release all").click()
    expect(page.locator("main")).to_contain_text("Nothing is held.")
    page.goto("/console/now")
    _sees(page, "All is well")
