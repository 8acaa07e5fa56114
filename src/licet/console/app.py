"""The console as the application mounts it."""

from collections.abc import Callable
from typing import Any

import jinja2
import msgspec
from litestar import Request, Response, Router, get
from litestar.di import Provide
from litestar.params import FromPath

from licet.console import brake, letters, live, search, sign_in, to_read
from licet.console.desks import Desks
from licet.console.frame import HOME, Frame
from licet.console.look import Assets, environment
from licet.console.oidc import Oidc
from licet.console.session import Seal
from licet.domain.errors import LicetError, NotFound

# Each returns the handlers of a page (or of some that belong together); they take rooms and ``page`` by name.
PAGES: tuple[Callable[[], list[Any]], ...] = (search.handlers, letters.handlers, brake.handlers, to_read.handlers)


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
    rules: dict[str, Any] = {
        "dependencies": {
            "page": Provide(frame.page, sync_to_thread=False),
            "desks": Provide(lambda: desks, sync_to_thread=False),
        },
        "opt": {"exclude_from_auth": True},
        "include_in_schema": False,
        "request_max_body_size": 64_000,
    }
    open_ = Router("/", route_handlers=sign_in.handlers(frame, oidc, links), **rules)
    pages = live.handlers(scene) + [handler for page in PAGES for handler in page()]
    return Console(
        [open_, Router("/", route_handlers=[*pages, sign_in.sign_out, nothing], before_request=frame.admit, **rules)],
        frame.error,
        scene,
    )


def templates() -> jinja2.Environment:
    """Build the console's own templates."""
    return environment(Assets())


@get(f"{HOME}/{{path:path}}")
async def nothing(path: FromPath[str]) -> Response[str]:
    """Say that there is no such page, to those who are signed in."""
    raise NotFound(f"there is no page at {HOME}{path}; the navigation lists what there is")
