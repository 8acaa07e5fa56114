"""Signing in and out: at the OIDC issuer, or by a link that the terminal of ``licet up`` prints and that works once."""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from licet.console.frame import COOKIE, HOME, SIGN_IN, Frame, Page
from licet.console.oidc import CALLBACK, Attempt, Oidc
from licet.console.session import Role
from licet.domain.errors import InvalidInput, Unauthenticated

LINK = f"{SIGN_IN}/link"
_LASTS_S = 15 * 60.0
_AGAIN_S = 5.0
_ATTEMPT = "licet_sign_in"


class Links:
    """One-time links of the one person at this machine (``name``), who may do everything. Only the last one made works.

    ``announce`` prints the address path of a new link; nothing but its digest is kept.
    """

    def __init__(self, name: str, monotonic: Callable[[], float], announce: Callable[[str], None]) -> None:
        self._name = name
        self._monotonic = monotonic
        self._announce = announce
        self._digest: bytes | None = None
        self._made = float("-inf")

    def make(self) -> str:
        """Return the path of a new link, which works once within 15 minutes."""
        token = secrets.token_urlsafe(24)
        self._digest, self._made = hashlib.sha256(token.encode()).digest(), self._monotonic()
        return f"{LINK}?token={token}"

    def print_anew(self) -> None:
        """Print a new link; whoever asks again and again is answered every few seconds."""
        if self._monotonic() >= self._made + _AGAIN_S:
            self._announce(self.make())

    def take(self, token: str) -> str:
        """Return the name of who came by the link. Raises ``Unauthenticated``."""
        known = self._digest
        fits = known is not None and hmac.compare_digest(hashlib.sha256(token.encode()).digest(), known)
        if not fits:
            raise Unauthenticated("this link is not known, or was used: print a new one")
        self._digest = None
        if self._monotonic() >= self._made + _LASTS_S:
            raise Unauthenticated("this link is older than 15 minutes: print a new one")
        return self._name


@post(f"{HOME}/sign-out")
async def sign_out(page: NamedDependency[Page]) -> Redirect:
    """End the session of this browser. It needs one, as every form does."""
    return page.go(f"{HOME}/signed-out", cookies={COOKIE: None})


def handlers(frame: Frame, oidc: Oidc | None, links: Links | None) -> list[ControllerRouterHandler]:
    """Return the routes that need no session."""
    issuer = oidc.issuer if oidc is not None else None

    def show(page: Page, **said: Any) -> Response[str]:
        said = {"error": None, "next": HOME, "goodbye": None, "printed": False, "status_code": 200} | said
        return page.show("sign_in.html", oidc=issuer, links=links is not None, **said)

    @get(SIGN_IN)
    async def get_sign_in(page: NamedDependency[Page], to: FromQuery[str] = HOME) -> Response[str]:
        return show(page, next=_ours(to))

    @get(f"{HOME}/signed-out")
    async def get_signed_out(page: NamedDependency[Page]) -> Response[str]:
        return show(page, goodbye=(await oidc.goodbye() if oidc else None) or "")

    by_issuer = _by_issuer(oidc, frame, show) if oidc is not None else []
    by_link = _by_link(links, frame, show) if links is not None else []
    return [get_sign_in, get_signed_out, *by_issuer, *by_link]


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


def _by_link(links: Links, frame: Frame, show: Callable[..., Response[str]]) -> list[ControllerRouterHandler]:
    @get(LINK)
    async def enter(page: NamedDependency[Page], token: FromQuery[str] = "") -> Response[Any]:
        try:
            name = links.take(token)
        except Unauthenticated as error:
            return show(page, error=error.detail, status_code=401)
        return page.go(HOME, cookies={COOKIE: frame.seal.visit(name, Role.ADMIN)})

    @post(LINK, status_code=200)
    async def print_link(page: NamedDependency[Page]) -> Response[str]:
        frame.require_own(page.request)
        links.print_anew()
        return show(page, printed=True)

    return [enter, print_link]


def _ours(path: str) -> str:
    """Return the path where it is one of the console, else the first page: a link must lead nowhere else."""
    fits = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    return path if fits and path.isprintable() and "\\" not in path and len(path) < 2000 else HOME  # noqa: PLR2004 an address
