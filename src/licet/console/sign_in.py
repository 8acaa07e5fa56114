"""Signing in and out: at the OIDC issuer, or by a link that works once (``licet console link``, ``licet up``)."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from licet.console.desks import Desks
from licet.console.frame import COOKIE, HOME, SIGN_IN, Frame, Page
from licet.console.oidc import CALLBACK, Attempt, Oidc
from licet.console.session import Role, Seal
from licet.console.to_read import show_keys
from licet.domain.errors import InvalidInput, LicetError, Unauthenticated, Unavailable
from licet.domain.principal import Actor, Scope, Via
from licet.manage.sessions import Sessions

LINK = f"{SIGN_IN}/link"
_AGAIN_S = 5.0
_ATTEMPT = "licet_sign_in"


class Terminal:
    """Where a new link can be printed: that of ``licet up``. ``announce`` prints the path of one for ``name``."""

    def __init__(
        self, name: str, announce: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._announce = announce
        self._monotonic = monotonic
        self._printed = float("-inf")

    async def print_anew(self, sessions: Sessions) -> None:
        """Print a new link; whoever asks again and again is answered every few seconds."""
        if self._monotonic() >= self._printed + _AGAIN_S:
            self._printed = self._monotonic()
            self._announce(link_path(await sessions.link(self._name, Actor(self._name, Via.SERVICE))))


class Ways(msgspec.Struct, frozen=True):
    """How people come in: always by a link, and at the issuer where there is one. ``seal`` signs their sessions."""

    seal: Seal
    sessions: Sessions
    oidc: Oidc | None
    terminal: Terminal | None


def link_path(token: str) -> str:
    """Return the path of the link with this token."""
    return f"{LINK}?token={token}"


@post(f"{HOME}/sign-out")
async def sign_out(page: NamedDependency[Page], sessions: NamedDependency[Sessions]) -> Redirect:
    """End this session, wherever its cookie is. It needs one, as every form does."""
    said = None
    try:
        await sessions.leave(page.visitor.session, page.visitor.principal.actor)
        await page.heed_ends()
    except Unavailable:  # the browser's cookie goes all the same
        said = "Only this browser is signed out: the store does not answer. A copy of the session lasts until it ends."
    return page.go(f"{HOME}/signed-out", said, cookies={COOKIE: None})


@post(f"{HOME}/keys/sessions")
async def end_sessions(
    page: NamedDependency[Page], sessions: NamedDependency[Sessions], desks: NamedDependency[Desks]
) -> Response[Any]:
    """End the sessions of a person, whose name the form has, or of everyone (``do``)."""
    by, form = page.act(Scope.ADMIN), await page.request.form()
    name = None if form.get("do") == "everyone" else str(form.get("name", ""))
    try:
        await sessions.end(name, str(form.get("reason", "")), by)
    except LicetError as error:
        return await show_keys(page, desks, await page.refusal("end", error))
    await page.heed_ends()
    return page.go(f"{HOME}/keys", f"The sessions of {name or 'everyone'} are ended.")


def handlers(frame: Frame, ways: Ways) -> list[ControllerRouterHandler]:
    """Return the routes that need no session."""
    oidc, issuer = ways.oidc, ways.oidc.issuer if ways.oidc is not None else None

    def show(page: Page, **said: Any) -> Response[str]:
        said = {"error": None, "next": HOME, "goodbye": None, "printed": False, "status_code": 200} | said
        return page.show("sign_in.html", oidc=issuer, terminal=ways.terminal is not None, **said)

    @get(SIGN_IN)
    async def get_sign_in(page: NamedDependency[Page], to: FromQuery[str] = HOME) -> Response[str]:
        return show(page, next=_ours(to))

    @get(f"{HOME}/signed-out")
    async def get_signed_out(page: NamedDependency[Page]) -> Response[str]:
        return show(page, goodbye=(await oidc.goodbye() if oidc else None) or "")

    by_issuer = _by_issuer(oidc, frame, show) if oidc is not None else []
    return [get_sign_in, get_signed_out, *by_issuer, *_by_link(ways, frame, show)]


def _by_issuer(oidc: Oidc, frame: Frame, show: Callable[..., Response[str]]) -> list[ControllerRouterHandler]:
    @get(f"{SIGN_IN}/oidc")
    async def begin(page: NamedDependency[Page], to: FromQuery[str] = HOME) -> Redirect:
        address, attempt = await oidc.begin(_ours(to))
        return page.go(address, cookies={_ATTEMPT: attempt})

    @get(CALLBACK)
    async def finish(page: NamedDependency[Page]) -> Response[Any]:
        attempt = frame.seal.read(page.request.cookies.get(_ATTEMPT), Attempt)
        try:
            visitor = await oidc.finish(attempt, dict(page.request.query_params))
        except (Unauthenticated, InvalidInput) as error:
            return show(page, error=error.detail, status_code=401)
        return page.go(attempt.to if attempt else HOME, cookies={COOKIE: visitor, _ATTEMPT: None})

    return [begin, finish]


def _by_link(ways: Ways, frame: Frame, show: Callable[..., Response[str]]) -> list[ControllerRouterHandler]:
    @get(LINK)
    async def enter(page: NamedDependency[Page], token: FromQuery[str] = "") -> Response[Any]:
        try:
            name = await ways.sessions.take(token)
        except Unauthenticated as error:
            return show(page, error=error.detail, status_code=401)
        return page.go(HOME, cookies={COOKIE: frame.seal.visit(name, Role.ADMIN)})

    @post(LINK, status_code=200)
    async def print_link(page: NamedDependency[Page]) -> Response[str]:
        frame.require_own(page.request)
        if ways.terminal is not None:
            await ways.terminal.print_anew(ways.sessions)
        return show(page, printed=ways.terminal is not None)

    return [enter, print_link]


def _ours(path: str) -> str:
    """Return the path where it is one of the console, else the first page: a link must lead nowhere else."""
    fits = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    return path if fits and path.isprintable() and "\\" not in path and len(path) < 2000 else HOME  # noqa: PLR2004 an address
