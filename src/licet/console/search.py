"""The first page: a customer by whatever one has of it."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.reading import Reading
from licet.console.frame import HOME, Page
from licet.console.reference import find_reference

_MOST = 20


@get(HOME)
async def get_home(
    page: NamedDependency[Page], reading: NamedDependency[Reading], q: FromQuery[str] = ""
) -> Response[str]:
    """Search, and what was found; without a text the first customers by name."""
    text = "".join(one for one in q if one.isprintable()).strip()[:200]
    found, more = await reading.find(text, _MOST)
    return page.show("search.html", "found", q=text, found=found, more=more, reference=find_reference(text))


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_home]
