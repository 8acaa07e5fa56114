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
from licet.console.oidc import Oidc
from licet.console.session import Seal
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
)


class Console(msgspec.Struct, frozen=True):
    """What the application takes in. ``error`` shows an error of a path that begins with ``HOME``, with its status.

    ``live`` has streams to end.
    """

    routers: list[Router]
    error: Callable[[Request[Any, Any, Any], LicetError, int], Response[str]]
    live: live.Live


def build_console(
    seal: Seal, public_url: str | None, oidc: Oidc | None, links: sign_in.Links | None, desks: Desks
) -> Console:
    """Build the routes: those to sign in by, and behind a session all others."""
    frame = Frame(templates(), seal, public_url)
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
        },
        "opt": {"exclude_from_auth": True},
        "include_in_schema": False,
        "request_max_body_size": 64_000,
    }
    open_ = Router("/", route_handlers=sign_in.handlers(frame, oidc, links), **rules)
    pages = [*PAGES, *live.handlers(scene), nothing]
    return Console(
        [open_, Router("/", route_handlers=pages, before_request=admit, **rules)],
        frame.error,
        scene,
    )


def templates() -> jinja2.Environment:
    """Build the console's own templates."""
    return environment()


@get(f"{HOME}/{{path:path}}")
async def nothing(path: FromPath[str]) -> Response[str]:
    """Say that there is no such page, to those who are signed in."""
    raise NotFound(f"there is no page at {HOME}{path}; the navigation lists what there is")
