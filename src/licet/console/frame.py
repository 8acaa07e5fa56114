"""What stands around every page: who looks at it, its navigation, its errors, and that a form came from here."""

import datetime as dt
import hmac
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import jinja2
import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from licet.console.refusal import Refusal
from licet.console.session import Ended, Kept, Seal, Visitor
from licet.domain.errors import Forbidden, LicetError
from licet.domain.principal import Actor, Scope

HOME = "/console"
SIGN_IN = f"{HOME}/sign-in"
COOKIE, FLASH = "licet_console", "licet_flash"
NONE: Mapping[str, Kept | None] = MappingProxyType({})
UNSENT = Refusal()
_FLASH_LASTS = dt.timedelta(minutes=1)
# `same-origin`, as with `no-referrer` a browser would send no Origin with our own forms.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "vary": "HX-Request, Cookie",
}
T = TypeVar("T")
# The fields of a form as a handler takes them: a struct of what it needs.
Form = Annotated[T, Body(media_type=RequestEncodingType.URL_ENCODED)]


class Nav(msgspec.Struct, frozen=True):
    """A page of the navigation, for those who have the scope."""

    path: str
    label: str
    scope: Scope = Scope.READ


NAV: Sequence[Nav] = (
    Nav(HOME, "Customers"),
    Nav(f"{HOME}/now", "Now"),
    Nav(f"{HOME}/dead-letters", "Dead letters"),
    Nav(f"{HOME}/brake", "Brake", Scope.SUPPORT),
    Nav(f"{HOME}/drift", "Drift"),
    Nav(f"{HOME}/sources", "Sources"),
    Nav(f"{HOME}/catalog", "Catalog"),
    Nav(f"{HOME}/keys", "Keys", Scope.ADMIN),
    Nav(f"{HOME}/audit", "Audit", Scope.ADMIN),
)


class Flash(Kept, frozen=True, kw_only=True):
    """A sentence for the next page."""

    text: str


class Frame:
    """Renders pages, and knows whoever looks at them. ``public_url`` is where browsers find us, None: at any name.

    ``status_of`` is how HTTP calls an error.
    """

    def __init__(
        self,
        templates: jinja2.Environment,
        seal: Seal,
        ended: Ended,
        public_url: str | None,
        status_of: Callable[[LicetError], int],
    ) -> None:
        self.templates = templates
        self.seal = seal
        self.ended = ended
        self.public_url = public_url
        self.status_of = status_of

    def visitor(self, request: Request[Any, Any, Any]) -> Visitor | None:
        """Return who is signed in."""
        found = self.seal.read(request.cookies.get(COOKIE), Visitor)
        return None if found is None or self.ended.covers(found) else found

    def cookie(self, request: Request[Any, Any, Any], name: str, value: Kept | None) -> Cookie:
        """Make a cookie that only we read, for as long as its value lasts; None ends it."""
        return Cookie(
            key=name,
            value=self.seal.write(value) if value is not None else "",
            path=HOME,
            max_age=max(0, value.until - self.seal.until(dt.timedelta())) if value is not None else 0,
            httponly=True,
            samesite="lax",  # a link from a mail or a ticket opens signed in; a form from elsewhere does not
            secure=(self.public_url or str(request.base_url)).startswith("https:"),
        )

    async def admit(self, request: Request[Any, Any, Any]) -> Response[Any] | None:
        """Let pass who is signed in, and from these only forms of their own session; send others to sign in."""
        visitor = self.visitor(request)
        if visitor is None:
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            to = f"{SIGN_IN}?{urllib.parse.urlencode({'to': here})}" if request.method == "GET" else SIGN_IN
            if "hx-request" in request.headers:
                return Response(b"", status_code=401, headers={"hx-redirect": to})
            return Redirect(to, status_code=303)
        if request.method != "GET":
            self.require_own(request)
            token = str((await request.form()).get("form_token"))
            if not hmac.compare_digest(token.encode(), self.seal.form_token(visitor).encode()):
                raise Forbidden("this form is not of your present session: go back, load the page anew, send it again")
        return None

    def require_own(self, request: Request[Any, Any, Any]) -> None:
        """Raise ``Forbidden`` where a browser says that the form was sent from another site."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        here = {f"http://{request.url.netloc}", f"https://{request.url.netloc}"}
        if site not in (None, "same-origin", "none") or (
            origin is not None and origin not in ({self.public_url} if self.public_url else here)
        ):
            only = f"; forms are taken from {self.public_url} alone (LICET_CONSOLE_URL)" if self.public_url else ""
            raise Forbidden(f"this form was sent from another site ({origin or site}){only}; nothing was done")

    def page(self, request: Request[Any, Any, Any]) -> "Page":
        """Make the page of a request."""
        return Page(self, request, self.visitor(request))

    def error(self, request: Request[Any, Any, Any], error: LicetError) -> Response[str]:
        """Show an error as a page: what was found, what was expected."""
        return self.page(request).show("error.html", refused=Refusal(error=error))


class Page:
    """One answer of the console."""

    def __init__(self, frame: Frame, request: Request[Any, Any, Any], visitor: Visitor | None) -> None:
        self._frame = frame
        self.request = request
        self._visitor = visitor

    @property
    def visitor(self) -> Visitor:
        """Who looks at it. For pages behind ``Frame.admit``."""
        if self._visitor is None:
            raise Forbidden("nobody is signed in")
        return self._visitor

    @property
    def address(self) -> str:
        """Where Licet is found, as ``https://host``."""
        return self._frame.public_url or str(self.request.base_url).rstrip("/")

    def asked(self, *names: str) -> dict[str, str]:
        """Return what the address says under these names, those that it says nothing under as an empty text."""
        said = self.request.query_params
        return {one: "".join(filter(str.isprintable, said.get(one, ""))).strip()[:255] for one in names}

    async def refusal(self, form: str, error: LicetError, names: Mapping[str, str] = UNSENT.names) -> Refusal:
        """Keep what a form held that was refused, for ``show``."""
        sent = await self.request.form()
        return Refusal(form, {name: [str(one) for one in sent.getall(name)] for name in sent}, error, names)

    def stays(self) -> bool:
        """Tell whether whoever looks is signed in still."""
        return self._frame.visitor(self.request) is not None

    async def heed_ends(self) -> None:
        """Let this process know at once which sessions ended; the others know within a second."""
        await self._frame.ended.refresh()

    def act(self, scope: Scope) -> Actor:
        """Return the author of a change. Raises ``Forbidden`` where the role lacks the scope."""
        self.visitor.principal.require(scope)
        return self.visitor.principal.actor

    def target(self, blocks: Sequence[str]) -> str | None:
        """Return which of these blocks a script asks for: the element that it will replace is called so."""
        wanted = self.request.headers.get("hx-target")
        return wanted if wanted in blocks and "hx-request" in self.request.headers else None

    def show(self, template: str, block: str | None = None, *, refused: Refusal = UNSENT, **said: Any) -> Response[str]:
        """Render a template; for a script's request only its ``block``, where one is named.

        Where a form was ``refused`` the status is its error's.
        """
        status = self._frame.status_of(refused.error) if refused.error else said.pop("status_code", 200)
        visitor, seal, path = self._visitor, self._frame.seal, self.request.url.path
        flash = seal.read(self.request.cookies.get(FLASH), Flash)
        said |= {
            "refused": refused,
            "status": status,
            "visitor": visitor,
            "form_token": seal.form_token(visitor) if visitor else "",
            "nav": [one for one in NAV if visitor and visitor.may(one.scope)],
            "path": path,
            "section": max((one.path for one in NAV if f"{path}/".startswith(f"{one.path}/")), key=len, default=""),
            "flash": flash.text if flash else None,
        }
        found = self._frame.templates.get_template(template)
        part = block is not None and "hx-request" in self.request.headers
        text = "".join(found.blocks[block](found.new_context(said))) if part and block else found.render(said)
        cookies = [self._frame.cookie(self.request, FLASH, None)] if flash and not part else []
        return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS, cookies=cookies)

    def go(self, to: str, flash: str | None = None, cookies: Mapping[str, Kept | None] = NONE) -> Redirect:
        """Send the browser on, with a sentence to be shown on the next page, and cookies by name (None ends one)."""
        until = self._frame.seal.until(_FLASH_LASTS)
        told = {**cookies, **({FLASH: Flash(until=until, text=flash)} if flash else {})}
        made = [self._frame.cookie(self.request, name, value) for name, value in told.items()]
        return Redirect(to, status_code=303, cookies=made)
