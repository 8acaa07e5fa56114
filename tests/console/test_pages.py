"""Each page in a real browser: accessible, nothing cut, at both widths, in light and in dark."""

import datetime as dt
import uuid
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Request

from licet.console.session import Role
from support.browser import DESKTOP, PHONE, SCHEMES, lacking, overflow, person, violations
from support.console import Served, served_console

pytestmark = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")
KEY = "an-admin-key-of-the-page-tests"
LOOKS = {PHONE: SCHEMES, DESKTOP: SCHEMES}
ACME = "0015g00000AbCdEAAV"
# Every page: where it stands, and who looks at it.
PAGES = [
    ("/", None),
    ("/docs", None),
    ("/console/sign-in", None),
    ("/console", Role.SALES),
    ("/console?q=nobody-at-all", Role.SALES),
    (f"/console/customers/{ACME}?feature=account-takeover-protection&user=ada@acme.example", Role.ADMIN),
    (f"/console/customers/{ACME}?at=0", Role.SALES),
    ("/console/nothing", Role.SALES),
]


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    with served_console(postgres, template, bootstrap_api_key=KEY) as served:
        served.deal(ACME, Name="Acme", SKU1=True, SKU2=False, AccountManager="Ada Byron")
        served.deal(
            "umbra",
            Name="Umbra, a company of a long name that does not fit a line of a phone",
            SignedTos=False,
            SKU1=True,
        )
        ends = (dt.datetime.now(dt.UTC) + dt.timedelta(days=3)).isoformat()
        trial = {
            "customer": ACME,
            "sku": "SKU3",
            "effect": "grant",
            "kind": "trial",
            "ends_at": ends,
            "reason": "a try",
        }
        put = httpx.put(
            f"{served.url}/v1/overrides/{uuid.uuid4()}", json=trial, headers={"authorization": f"Bearer {KEY}"}
        )
        assert put.status_code == 200, put.text
        yield served


@pytest.mark.parametrize(("path", "role"), PAGES)
def test_every_page_is_accessible_and_fits(at: Served, running: Browser, path: str, role: Role | None) -> None:
    with person(running, at, role, errors=path == "/console/nothing") as page:
        page.goto(path)
        for (width, height), schemes in LOOKS.items():
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            # A look at the API's hundred tables takes 5 s: each width and each scheme once.
            for scheme in schemes if path != "/docs" else schemes[width == DESKTOP[0] :][:1]:
                page.emulate_media(color_scheme=scheme)
                assert violations(page, scheme) == [], f"{path}, {width} px, {scheme}"
            assert overflow(page) == [], f"{path}, {width} px"


def test_the_first_page_weighs_less_than_100_kib(at: Served, running: Browser) -> None:
    with person(running, at, Role.SALES) as page:
        weighed: list[int] = []

        def weigh(sent: Request) -> None:
            sizes = sent.sizes()
            weighed.append(sizes["responseBodySize"] + sizes["responseHeadersSize"])

        page.on("requestfinished", weigh)
        page.goto("/console", wait_until="networkidle")
        assert len(weighed) >= 4
        assert sum(weighed) < 100 * 1024
