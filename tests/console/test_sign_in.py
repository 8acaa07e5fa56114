"""Who gets in, as whom, and what a forged session, an old link or a form from elsewhere comes to."""

import datetime as dt
from collections.abc import Iterator

import httpx
import pytest

from licet.console.frame import COOKIE, Flash
from licet.console.session import Role, Seal
from licet.console.sign_in import Links
from licet.domain.errors import Unauthenticated
from support.console import SEAL_KEY, Served, form_token, served_console


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
    link = at.links.make()
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


def test_a_link_is_over_after_a_quarter_of_an_hour_and_only_the_last_one_works() -> None:
    now, printed = [0.0], list[str]()
    links = Links("ada", lambda: now[0], printed.append)

    def refused(link: str) -> bool:
        try:
            links.take(link.partition("token=")[2])
        except Unauthenticated as error:
            return "link" in str(error)
        return False

    first, second = links.make(), links.make()
    assert refused(first)
    assert not refused(second)
    late = links.make()
    now[0] = 900.0
    assert refused(late)
    links.print_anew()
    links.print_anew()
    assert len(printed) == 1
    assert not refused(printed[0])


def test_whoever_has_no_link_asks_the_terminal_for_one(at: Served) -> None:
    at.links._made = float("-inf")
    with at.client() as client:
        answer = client.post("/console/sign-in/link", headers={"origin": at.url})
        assert answer.status_code == 200
        assert "A new link stands in the terminal" in answer.text
        assert client.get(at.printed[-1]).status_code == 303
        assert client.post("/console/sign-in/link", headers={"origin": "http://evil.example"}).status_code == 403


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


def test_web_without_a_sign_in_and_a_console_switched_off_have_no_console(postgres: str, template: str) -> None:
    with served_console(postgres, template, links=False) as served:
        answer = httpx.get(f"{served.url}/console")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "The console" not in httpx.get(f"{served.url}/").text
    with served_console(postgres, template, console="off") as served:
        assert httpx.get(f"{served.url}/console").status_code == 404
