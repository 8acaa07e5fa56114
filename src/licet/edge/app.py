"""The Litestar application: typed routes, errors as problem documents, health, the pages, the console."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.types import ASGIApp, ControllerRouterHandler, Message

from licet.answer.history import History
from licet.answer.letters import LetterSearch
from licet.answer.reading import Reading
from licet.console.app import Console
from licet.console.frame import HOME
from licet.domain.errors import Fault, InvalidInput, LicetError, NotFound
from licet.domain.ids import shown
from licet.domain.principal import Principal, Scope
from licet.edge import api, health, letters, openapi, operations, overrides
from licet.edge.asgi import header
from licet.edge.authentication import Authenticator
from licet.edge.pages import pages
from licet.edge.problems import INTERNAL, MethodNotAllowed, problem_of
from licet.manage.directory import Directory
from licet.manage.letters import LetterDesk
from licet.manage.overrides import Overrides
from licet.manage.ports import OverrideReader
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics

_CLIENT_ERROR = range(400, 500)
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """What the application is wired to; a handler gets a room by its name here.

    ``checks`` are named; each returns None where ready, else what it waits for.
    """

    reading: Reading
    history: History
    directory: Directory
    letter_search: LetterSearch
    letter_desk: LetterDesk
    operations: operations.Operations
    overrides: Overrides
    override_reader: OverrideReader
    authenticator: Authenticator
    metrics: Metrics
    checks: dict[str, Callable[[], Awaitable[str | None]]]
    console: Console | None = None


def build_app(rooms: Rooms) -> Litestar:
    """Build the application. It reads no environment, touches no logging, and reaches nothing outside."""
    dependencies = {
        "caller": Provide(_caller, sync_to_thread=False),
        **{name: _given(getattr(rooms, name)) for name in rooms.__struct_fields__},
    }
    described = openapi.document(_routes(rooms), dependencies)
    return Litestar(
        [
            *_routes(rooms),
            *pages(described, console=rooms.console is not None),
            *(rooms.console.routers if rooms.console else []),
        ],
        dependencies=dependencies,
        middleware=[DefineMiddleware(_Authentication, authenticator=rooms.authenticator)],
        exception_handlers={Exception: functools.partial(_answer_error, rooms.console)},
        before_send=[_secure],
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )


def _routes(rooms: Rooms) -> list[ControllerRouterHandler]:
    return [
        Router("/", route_handlers=api.READING, guards=[api.needs(Scope.READ)], tags=["Reading"]),
        Router("/", route_handlers=api.CHANGING, guards=[api.needs(Scope.WRITE)], tags=["Changing"]),
        Router("/", route_handlers=letters.ROUTES, tags=["Dead letters"]),
        Router("/", route_handlers=operations.ROUTES, tags=["Operations"]),
        Router("/", route_handlers=overrides.ROUTES, tags=["Overrides"]),
        *health.handlers(rooms.checks, rooms.metrics.render),
    ]


class _Authentication(AbstractAuthenticationMiddleware):
    """Finds the caller of every route but those with ``opt`` ``exclude_from_auth``."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        super().__init__(app)
        self._authenticator = authenticator

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        principal = await self._authenticator.authenticate(header(list(connection.scope["headers"]), b"authorization"))
        return AuthenticationResult(user=principal, auth=None)


def _given(room: object) -> Provide:
    return Provide(lambda: room, sync_to_thread=False)


def _caller(request: Request[Principal, Any, Any]) -> Principal:
    return request.user


def _answer_error(console: Console | None, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    known = _translate(request, error)
    if not isinstance(known, LicetError):
        log(Event.REQUEST_FAILED, error=error, method=request.method, path=request.url.path)
    problem = problem_of(known)
    if console is not None and f"{request.url.path}/".startswith(f"{HOME}/"):
        return console.error(request, known if isinstance(known, LicetError) else INTERNAL)
    headers = {name.decode(): value.decode() for name, value in problem.headers}
    media_type = headers.pop("content-type")
    return Response(problem.body, status_code=problem.status, headers=headers, media_type=media_type)


def _translate(request: Request[Any, Any, Any], error: Exception) -> Exception:
    """Turn what the framework raises into an error of the tree; anything else passes."""
    match error:
        case NotFoundException():
            return NotFound(f"there is nothing at {request.url.path}; /docs lists what there is")
        case MethodNotAllowedException():
            allowed = (error.headers or {}).get("allow", "").split(", ")
            return MethodNotAllowed(f"{request.url.path} takes {' or '.join(sorted(allowed))}", sorted(allowed))
        case ValidationException():
            return InvalidInput.of(*_faults(request, error))
        case HTTPException() if error.status_code in _CLIENT_ERROR:
            return InvalidInput.of(Fault("request", error.detail, "a well-formed request"))
        case _:
            return error


def _faults(request: Request[Any, Any, Any], error: ValidationException) -> list[Fault]:
    said = [one for one in error.extra or () if isinstance(one, dict)]
    faults = []
    for one in said:
        key = str(one.get("key", "request"))
        expected = str(one.get("message", error.detail)).removeprefix("Expected ").replace("`", "")
        faults.append(Fault(key, shown(request.query_params.get(key)), expected))
    return faults or [Fault("request", error.detail, "a well-formed request")]


async def _secure(message: Message, _: object) -> None:
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("cache-control", "no-store")
