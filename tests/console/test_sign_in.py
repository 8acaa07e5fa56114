"""Who gets in, as whom, and what a forged session, an old link or a form from elsewhere comes to."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from licet.cli.console import make_link
from licet.cli.main import app
from licet.console.frame import COOKIE, Flash
from licet.console.session import Ended, Role, Seal
from licet.domain.errors import Unavailable
from licet.manage.ports import Ends
from licet.settings import Settings
from support.console import SEAL_KEY, Served, form_token, served_console
from support.staged import until
from support.world import rows


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    with served_console(postgres, template) as served:
        served.deal("acme", Name="Acme", SKU1=True)
        yield served


def _cookie(text: str) -> dict[str, str]:
    return {COOKIE: text}


def test_the_first_page_of_a_stranger_is_where_to_sign_in_and_leads_back(at: Served) -> None:
    with at.client() as client:
        sent = client.get("/console?q=acme")
        assert (sent.status_code, sent.headers["location"]) == (303, "/console/sign-in?to=%2Fconsole%3Fq%3Dacme")
        assert "The console" in client.get("/").text
        page = client.get(sent.headers["location"])
        assert page.status_code == 200
        assert "licet up" in page.text
        script = client.get("/console?q=acme", headers={"hx-request": "true"})
        assert (script.status_code, script.headers["hx-redirect"]) == (401, sent.headers["location"])
        assert client.get("/console/customers/acme").status_code == 303
        assert client.get("/console/nothing").status_code == 303


def test_a_link_lets_in_once(at: Served) -> None:
    link = make_link(Settings(database_url=at.database), "ada")
    with at.client() as client:
        came = client.get(link)
        assert (came.status_code, came.headers["location"]) == (303, "/console")
        cookie = came.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=lax", "path=/console", "max-age=28800"))
        assert "secure" not in cookie
        page = client.get("/console")
        assert page.status_code == 200
        assert "ada</span> <small>admin</small>" in page.text
    with at.client() as client:
        again = client.get(link)
        assert again.status_code == 401
        assert "was used" in again.text
        assert COOKIE not in client.cookies
        assert client.get("/console/sign-in/link?token=").status_code == 401


def test_a_link_is_over_after_a_quarter_of_an_hour(at: Served) -> None:
    link = make_link(Settings(database_url=at.database))
    kept = rows(at.database, "SELECT extract(epoch FROM until - clock_timestamp())::int AS lasts FROM console_link")
    assert [one["lasts"] in range(880, 901) for one in kept] == [True]
    with psycopg.connect(at.database) as connection:
        connection.execute("UPDATE console_link SET until = clock_timestamp() - interval '1 second'")
    with at.client() as client:
        assert "older than 15 minutes" in client.get(link).text
        assert "was used" in client.get(link).text


def test_whoever_has_no_link_asks_the_terminal_for_one(at: Served) -> None:
    with at.client() as client:
        assert client.post("/console/sign-in/link", headers={"origin": "http://evil.example"}).status_code == 403
        for _ in range(2):  # the second time it is too soon
            answer = client.post("/console/sign-in/link", headers={"origin": at.url})
            assert answer.status_code == 200
            assert "A new link stands in the terminal" in answer.text
        assert len(at.printed) == 1
        assert client.get(at.printed[-1]).status_code == 303
        assert client.get("/console").status_code == 200


def test_signing_out_ends_the_session_and_not_only_this_browser_s_cookie(at: Served) -> None:
    with at.client(Role.SALES) as mine, at.client(Role.SALES) as other, httpx.Client(base_url=at.url) as thief:
        thief.cookies.set(COOKIE, mine.cookies[COOKIE], "localhost.local", "/console")
        token = form_token(thief.get("/console").text)
        assert mine.post("/console/sign-out", data={"form_token": token}).status_code == 303
        assert thief.get("/console").status_code == 303
        assert thief.post("/console/sign-out", data={"form_token": token}).headers["location"] == "/console/sign-in"
        assert other.get("/console").status_code == 200, "it is the same person's, and another session"


def test_signing_out_while_the_store_is_away_drops_the_cookie_and_says_so(at: Served) -> None:
    with psycopg.connect(at.database) as connection, at.client(Role.SALES) as client:
        token = form_token(client.get("/console").text)
        connection.execute("LOCK TABLE console_end")
        left = client.post("/console/sign-out", data={"form_token": token}, timeout=30)
        assert left.status_code == 303
        assert "Only this browser is signed out" in client.get(left.headers["location"]).text
        assert COOKIE not in client.cookies


def _ended(at: Served, end: Callable[[], object], names: dict[str, bool]) -> None:
    """Hold who is signed out within a second, and that a session begun after that counts."""
    cookies = {name: at.session(Role.SALES, name) for name in names}

    def status(cookie: str) -> int:
        return httpx.get(f"{at.url}/console", cookies=_cookie(cookie)).status_code

    end()
    until(lambda: all(status(cookies[name]) == 303 for name, over in names.items() if over))
    assert [status(cookies[name]) == 303 for name in names] == list(names.values())
    until(lambda: status(at.session(Role.SALES, "bea")) == 200)


def test_an_admin_ends_the_sessions_of_a_person_or_of_everyone_and_the_audit_says_who_and_why(
    postgres: str, template: str
) -> None:
    with served_console(postgres, template) as at:

        def by_command(*said: str) -> None:
            ended = CliRunner().invoke(app, ["console", "end", *said], env={"LICET_DATABASE_URL": at.database})
            assert ended.exit_code == 0, ended.output

        def by_page(**said: str) -> None:
            with at.client(Role.ADMIN) as admin:
                form = {"form_token": form_token(admin.get("/console/keys").text), "reason": "lost a phone", **said}
                done = admin.post("/console/keys/sessions", data=form)
                assert (done.status_code, done.headers["location"]) == (303, "/console/keys")

        _ended(at, lambda: by_command("Bea", "--reason", "left"), {"bea": True, "cy": False})
        _ended(at, lambda: by_page(do="person", name="cy"), {"cy": True, "dee": False})
        _ended(at, lambda: by_command("--everyone", "--reason", "a drill"), {"bea": True, "cy": True})
        told = rows(at.database, "SELECT actor, via, action, subject, reason FROM audit_entry ORDER BY entry_id")
        assert [tuple(one.values())[1:] for one in told] == [
            ("cli", "console.end", "bea", "left"),
            ("page", "console.end", "cy", "lost a phone"),
            ("cli", "console.end", "everyone", "a drill"),
        ]
        assert told[1]["actor"] == "ada@licet.example"
        with at.client(Role.ADMIN) as admin:
            form = {
                "form_token": form_token(admin.get("/console/keys").text),
                "do": "person",
                "name": "cy",
                "reason": " ",
            }
            refused = admin.post("/console/keys/sessions", data=form)
            assert refused.status_code == 422
            assert 'value="cy"' in refused.text
            assert 'aria-describedby="reason-end-fault reason-end-hint"' in refused.text
        with at.client(Role.SUPPORT) as supporter:
            form = {"form_token": form_token(supporter.get("/console").text), "do": "everyone", "reason": "x"}
            assert supporter.post("/console/keys/sessions", data=form).status_code == 403


def test_what_is_known_of_ended_sessions_holds_while_the_store_is_away() -> None:
    seal = Seal(SEAL_KEY, lambda: dt.datetime.now(dt.UTC))
    over, open_ = seal.visit("ada", Role.SALES), seal.visit("ada", Role.SALES)
    known: Ends | None = {("session", over.session): 0.0}

    async def load() -> Ends:
        if known is None:
            raise Unavailable("the store does not answer")
        return known

    ended = Ended(load)
    asyncio.run(ended.refresh())
    assert (ended.covers(over), ended.covers(open_)) == (True, False)
    known = None
    asyncio.run(ended.refresh())
    assert (ended.covers(over), ended.covers(open_)) == (True, False)


@pytest.mark.parametrize("what", ["unsigned", "other secret", "changed", "over", "another kind", "cut", "empty"])
def test_a_session_that_is_not_ours_is_none(at: Served, what: str) -> None:
    def clock() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    seal = Seal(SEAL_KEY, clock)
    good = seal.write(seal.visit("ada", Role.SALES))
    body, _, signature = good.partition(".")
    admin = seal.write(seal.visit("ada", Role.ADMIN)).partition(".")[0]
    old = Seal(SEAL_KEY, lambda: clock() - dt.timedelta(hours=8, seconds=1))
    forged = {
        "unsigned": body,
        "other secret": Seal("another-secret-of-the-tests", clock).write(seal.visit("ada", Role.ADMIN)),
        "changed": f"{admin}.{signature}",
        "over": old.write(old.visit("ada", Role.ADMIN)),
        "another kind": seal.write(Flash(until=seal.until(dt.timedelta(hours=1)), text="admin")),
        "cut": good[:-1],
        "empty": "",
    }[what]
    assert httpx.get(f"{at.url}/console", cookies=_cookie(good)).status_code == 200
    assert httpx.get(f"{at.url}/console", cookies=_cookie(forged)).status_code == 303


def test_a_form_counts_only_from_its_own_session_and_its_own_site(at: Served) -> None:
    with at.client(Role.SALES) as mine, at.client(Role.SALES) as another:
        token, other = (form_token(client.get("/console").text) for client in (mine, another))
        assert token != other
        for sent, headers in (
            ({}, {}),
            ({"form_token": other}, {}),
            ({"form_token": token}, {"origin": "http://evil.example"}),
            ({"form_token": token}, {"origin": "null"}),
            ({"form_token": token}, {"sec-fetch-site": "cross-site"}),
            ({"form_token": token}, {"sec-fetch-site": "same-site"}),
        ):
            refused = mine.post("/console/sign-out", data=sent, headers=headers)
            assert refused.status_code == 403, (sent, headers)
            assert mine.get("/console").status_code == 200
        assert mine.post("/console/sign-out", data={"form_token": token}).status_code == 303
        assert mine.get("/console").status_code == 303


def test_errors_are_pages_that_say_what_to_do(at: Served) -> None:
    with at.client(Role.SALES) as client:
        missing = client.get("/console/nothing/here")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no page at /console/nothing/here" in missing.text
        assert client.get("/console?q=%00").status_code == 200


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(at: Served) -> None:
    with at.client(Role.ADMIN) as client:
        answer = client.get("/console")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "http://" not in answer.text.replace(at.url, "")
        assert "https://" not in answer.text


def test_only_paths_of_the_console_are_led_back_to(at: Served) -> None:
    with at.client() as client:
        for to in ("https://evil.example", "//evil.example", "/console//evil", "/consolex", "/console/\\evil", "/v1"):
            page = client.get("/console/sign-in", params={"to": to})
            assert page.status_code == 200
            assert "evil" not in page.text.replace("/console//evil", "")


def test_a_reading_that_began_before_an_end_does_not_hide_it() -> None:
    visitor = Seal(SEAL_KEY, lambda: dt.datetime.now(dt.UTC)).visit("ada", Role.SALES)
    store = dict[tuple[str, str], float]()

    async def load() -> Ends:
        found = dict(store)
        await asyncio.sleep(0.05 if not found else 0)  # the first is slow
        return found

    async def run() -> bool:
        ended = Ended(load)
        slow = asyncio.create_task(ended.refresh())
        await asyncio.sleep(0)
        store["session", visitor.session] = 0.0
        await ended.refresh()
        await slow
        return ended.covers(visitor)

    assert asyncio.run(run())


def test_a_web_process_without_issuer_and_terminal_says_how_to_get_a_link(postgres: str, template: str) -> None:
    with served_console(postgres, template, terminal=False) as served, served.client() as client:
        assert "licet console link" in client.get("/console/sign-in").text
        client.post("/console/sign-in/link", headers={"origin": served.url})
        assert served.printed == []
        environment = {"LICET_DATABASE_URL": served.database, "LICET_CONSOLE_URL": served.url}
        made = CliRunner().invoke(app, ["console", "link", "--as", "ada@licet.example"], env=environment)
        assert client.get(made.output.strip()).headers["location"] == "/console"
        assert "ada@licet.example</span> <small>admin</small>" in client.get("/console").text
        told = "SELECT action, subject, via FROM audit_entry"
        assert rows(served.database, told) == [{"action": "console.link", "subject": "ada@licet.example", "via": "cli"}]


def test_a_console_that_is_switched_off_is_none(postgres: str, template: str) -> None:
    with served_console(postgres, template, console="off") as served:
        answer = httpx.get(f"{served.url}/console")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "The console" not in httpx.get(f"{served.url}/").text
