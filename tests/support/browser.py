"""A real browser for the console's tests: Debian's chromium, driven by Playwright, with axe-core's checks."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from licet.console.frame import COOKIE
from licet.console.session import Role
from support.console import Served

_AXE = pathlib.Path(__file__).parent / "axe" / "axe.min.js"
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# The size of targets is not looked at unless it is named.
_RUN = "(only) => axe.run({runOnly: only, rules: {'target-size': {enabled: true}}}).then((all) => all.violations)"
PHONE, DESKTOP = (390, 844), (1440, 900)
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


def lacking() -> str | None:
    """Say how to get a browser where this machine has none."""
    return None if shutil.which("chromium") else "chromium is not on this machine: apt-get install chromium"


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Run a browser until the block ends."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield running
        finally:
            running.close()


@contextlib.contextmanager
def person(running: Browser, at: Served, role: Role | None, *, errors: bool = False, **options: Any) -> Iterator[Page]:
    """Lend a page of somebody signed in. What the browser complains of, or asks of anybody else, fails the test.

    ``errors``: the test wants answers that are errors.
    """
    context: BrowserContext = running.new_context(base_url=at.url, reduced_motion="reduce", **options)
    if role is not None:
        context.add_cookies([{"name": COOKIE, "value": at.session(role), "domain": "localhost", "path": "/console"}])
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(at.url) else wrong.append(sent.url))
    page.set_default_timeout(15_000)
    yield page
    context.close()
    left = [one for one in wrong if not (errors and "status" in one.lower())]
    assert left == [], left


def violations(page: Page, scheme: str) -> list[str]:
    """Return what axe-core has against the page as it stands; where it is dark, only of the colours."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {_AXE.read_text('utf-8')} }}")  # not a script element, which the policy would refuse
    only = {"type": "tag", "values": list(_RULES)} if scheme == "light" else ["color-contrast", "link-in-text-block"]
    found = page.evaluate(_RUN, only)
    return [f"{one['id']}: {', '.join(str(node['target']) for node in one['nodes'])}" for one in found]


def overflow(page: Page) -> list[str]:
    """Return what reaches beyond the page's right edge."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
        .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
            && !one.closest('.wide, .skip, .hidden') && getComputedStyle(one).position !== 'absolute')
        .map((one) => one.outerHTML.slice(0, 120))"""
    )
    return found
