"""A browser for a module of tests: while Playwright runs, this thread has an event loop, and no other may begin one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support.browser import browser


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as one:
        yield one
