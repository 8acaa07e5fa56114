"""The first page of whoever is on call: what is wrong and what to do, and what is applied this moment."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Stream

from licet.console.desks import whole
from licet.console.frame import HOME, Page
from licet.console.live import Live


def handlers(live: Live) -> list[Any]:
    """Return the routes."""

    @get(f"{HOME}/now")
    async def get_now(page: NamedDependency[Page]) -> Response[str]:
        return page.show("now.html", scene=await live.look())

    @get(f"{HOME}/now/stream")
    async def get_stream(page: NamedDependency[Page]) -> Stream:
        live.admit()
        begun = whole("after", page.request.headers.get("last-event-id") or page.asked("after")["after"])
        # The last header keeps nginx from collecting events before it passes them on.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return Stream(live.follow(begun), media_type="text/event-stream", headers=headers)

    return [get_now, get_stream]
