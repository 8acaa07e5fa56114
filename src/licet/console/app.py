"""The console as the application mounts it."""

from collections.abc import Callable
from typing import Any

import jinja2
import msgspec
from litestar import Request, Response, Router, get
from litestar.di import Provide
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from licet.console import brake, customer, letters, live, search, sign_in, to_read
from licet.console.desks import Desks
from licet.console.frame import HOME, Frame, Page
from licet.console.look import environment
from licet.console.session import Ended
from licet.domain.errors import LicetError, NotFound

# The pages behind the sign-in; a handler takes the rooms it needs, and ``page``, by name.
PAGES: tuple[ControllerRouterHandler, ...] = (
    search.get_home,
    customer.get_customer,
    customer.make_override,
    customer.change_override,
    *letters.HANDLERS,
    *brake.HANDLERS,
    *to_read.HANDLERS,
    sign_in.sign_out,
    sign_in.end_sessions,
)


class Console(msgspec.Struct, frozen=True):
    """What the application takes in. ``error`` shows an error of a path that begins with ``HOME``.

    ``live`` has streams to end, ``ended`` is to be kept fresh.
    """

    routers: list[Router]
    error: Callable[[Request[Any, Any, Any], LicetError], Response[str]]
    live: live.Live
    ended: Ended


def build_console(
    ways: sign_in.Ways, desks: Desks, public_url: str | None, status_of: Callable[[LicetError], int]
) -> Console:
    """Build the routes: those to sign in by, and behind a session all others."""
    ended = Ended(ways.sessions.ends)
    frame = Frame(templates(), ways.seal, ended, public_url, status_of)
    scene = live.Live(desks, templates())

    # Functions, as the framework copies what it is given, and there is one frame.
    def page(request: Request[Any, Any, Any]) -> Page:
        return frame.page(request)

    async def admit(request: Request[Any, Any, Any]) -> Response[Any] | None:
        return await frame.admit(request)

    rules: dict[str, Any] = {
        "dependencies": {
            "page": Provide(page, sync_to_thread=False),
            "desks": Provide(lambda: desks, sync_to_thread=False),
            "view": Provide(customer.View, sync_to_thread=False),
            "sessions": Provide(lambda: ways.sessions, sync_to_thread=False),
        },
        "opt": {"exclude_from_auth": True},
        "include_in_schema": False,
        "request_max_body_size": 64_000,
    }
    open_ = Router("/", route_handlers=sign_in.handlers(frame, ways), **rules)
    pages = [*PAGES, *live.handlers(scene), nothing]
    return Console(
        [open_, Router("/", route_handlers=pages, before_request=admit, **rules)],
        frame.error,
        scene,
        ended,
    )


def templates() -> jinja2.Environment:
    """Build the console's own templates."""
    return environment()


@get(f"{HOME}/{{path:path}}")
async def nothing(path: FromPath[str]) -> Response[str]:
    """Say that there is no such page, to those who are signed in."""
    raise NotFound(f"there is no page at {HOME}{path}; the navigation lists what there is")
