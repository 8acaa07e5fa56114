"""What every page shares: the templates' environment, and the files that browsers load."""

import datetime as dt
import functools
import gzip
import hashlib
import importlib.resources
from collections.abc import Callable
from typing import Any

import jinja2
from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from markupsafe import Markup, escape

from licet.domain.errors import NotFound

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# The address holds a digest of the content, so a browser may keep it for ever.
_CACHED = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


class Assets:
    """The files under ``/assets``; ``address`` is where one stands, with a digest of what it holds."""

    def __init__(self) -> None:
        folder = importlib.resources.files("licet.console.assets")
        self._files = {
            file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES
        }
        self._small = {name: gzip.compress(content, mtime=0) for name, content in self._files.items()}

    def address(self, name: str) -> str:
        """Return the address of a file. Raises ``KeyError`` where there is none of that name."""
        return f"/assets/{name}?{hashlib.sha256(self._files[name]).hexdigest()[:12]}"

    def handlers(self) -> list[ControllerRouterHandler]:
        """Return the route of all."""

        @get("/assets/{name:str}", include_in_schema=False, exclude_from_auth=True, sync_to_thread=False)
        def get_asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
            if name not in self._files:
                raise NotFound(f"there is no file {name}")
            headers, content = dict(_CACHED), self._files[name]
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["content-encoding"], content = "gzip", self._small[name]
            return Response(content, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])

        return [get_asset]


@functools.cache
def assets() -> Assets:
    """Return the one set of files, read and compressed when it is first asked for."""
    return Assets()


def environment(*packages: str, **filters: Callable[..., Any]) -> jinja2.Environment:
    """Build the environment of the templates here and in the ``templates`` of other packages."""
    places = [jinja2.PackageLoader(package, "templates") for package in ("licet.console", *packages)]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=assets().address)
    made.filters.update(moment=moment, second=second, day=day, stamp=stamp, **filters)
    words = made.get_template("words.html").module  # for all, as a block that is rendered alone imports nothing
    made.globals.update({name: getattr(words, name) for name in ("REASONS", "tag", "yes")})
    return made


def moment(at: dt.datetime | None) -> Markup:
    """Show a time to the minute, in UTC, readable by machines too."""
    return _time(at, "%H:%M UTC")


def second(at: dt.datetime | None) -> Markup:
    """Show the time of a day to the second, in UTC; its day stands in the title."""
    return _time(at, "%H:%M:%S", clock_only=True)


def day(at: dt.datetime | None) -> Markup:
    """Show a day; its time stands in the title."""
    return _time(at, "")


def stamp(at: dt.datetime) -> str:
    """Write a time as an address or a field takes it."""
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _time(at: dt.datetime | None, clock: str, *, clock_only: bool = False) -> Markup:
    if at is None:
        return Markup("&ndash;")
    at = at.astimezone(dt.UTC)
    shown = at.strftime(clock) if clock_only else f"{at.day} {at:%b %Y}{clock and ', '}{at.strftime(clock)}"
    exact = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp(at), exact, escape(shown))
