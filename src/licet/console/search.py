"""The first page: a customer by whatever one knows of it."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from licet.answer.reading import Reading
from licet.console.frame import HOME, Page


@get(HOME)
async def get_home(
    page: NamedDependency[Page], reading: NamedDependency[Reading], q: FromQuery[str] = ""
) -> Response[str]:
    """Search, and what was found."""
    q = "".join(one for one in q if one.isprintable()).strip()[:200]
    found = await reading.customers(q or None, None, 20)
    return page.show("search.html", "found", q=q, found=found.items)


def handlers() -> list[Any]:
    """Return the routes."""
    return [get_home]
