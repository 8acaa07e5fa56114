"""One stage per module; each test uses customers of its own."""

from collections.abc import Iterator

import pytest

from support.web import Stage, stage


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    """The web and the worker's applier on a database of this module."""
    with stage(postgres, template) as built:
        yield built
