"""A browser for a module of tests: while Playwright runs, this thread has an event loop, and no other may begin one."""

import pathlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support.browser import browser

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what drives a browser: `make test-browser` runs it."""
    for item in items:
        if item.path.is_relative_to(HERE) and "running" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser() as one:
        yield one
