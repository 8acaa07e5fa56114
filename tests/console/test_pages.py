"""Each page in a real browser: accessible, nothing cut, at both widths, in light and in dark."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from licet.console.session import Role
from support.browser import DESKTOP, PHONE, SCHEMES, browser, lacking, overflow, person, violations
from support.console import Served, served_console

pytestmark = pytest.mark.skipif(lacking() is not None, reason=lacking() or "")
# Every page: where it stands, and who looks at it.
PAGES = [
    ("/console/sign-in", None),
    ("/console", Role.SALES),
    ("/console/nothing", Role.SALES),
]


@pytest.fixture(scope="module")
def at(postgres: str, template: str) -> Iterator[Served]:
    with served_console(postgres, template) as served:
        served.deal("acme", Name="Acme", SKU1=True)
        yield served


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.mark.parametrize(("path", "role"), PAGES)
def test_every_page_is_accessible_and_fits(at: Served, running: Browser, path: str, role: Role | None) -> None:
    with person(running, at, role) as page:
        page.goto(path)
        for width, height in (PHONE, DESKTOP):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert violations(page) == [], f"{path}, {width} px, {scheme}"
            assert overflow(page) == [], f"{path}, {width} px"
