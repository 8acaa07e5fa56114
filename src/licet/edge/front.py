"""The one bare ASGI callable in front of everything: hot paths first, the rest to the application behind it.

A framework's router costs half of what a small request costs; this is one look-up in a dict.
"""

from collections.abc import Awaitable, Mapping
from time import perf_counter

import msgspec

from licet.domain.errors import LicetError
from licet.edge.asgi import AsgiMessage, AsgiScope, Handler, Receive, Send, respond
from licet.edge.problems import MethodNotAllowed, problem_of
from licet.observe.log import Event, log
from licet.observe.metrics import Metrics
from licet.observe.quick import Count

OTHER = "other"


class Route(msgspec.Struct, frozen=True):
    """A hot path's handler, the methods it takes (upper case), and a sentence for who comes with another one."""

    handler: Handler
    methods: tuple[str, ...]
    how: str


class _Served:
    """A route with its metrics bound, so that a request looks up no label."""

    def __init__(self, handler: Handler, label: str, route: Route | None, metrics: Metrics) -> None:
        self.handler = handler
        self.route = route
        self.label = label
        self.seconds = metrics.http_request_seconds.labels(label)
        self._requests = metrics.http_requests
        self._by_status: dict[int, Count] = {}

    def count(self, status: int) -> None:
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._requests.labels(self.label, str(status) if status else "none")
        counter.inc()


class Front:
    """Serves ``routes`` by exact path (each with and without a trailing slash) and leaves the rest to ``fallback``.

    A path that ends in ``{…}`` serves all that begins as it does; the exact ones go first.
    Every error of a handler becomes a problem document here; what Licet did not expect is logged with its traceback.
    """

    def __init__(self, routes: Mapping[str, Route], fallback: Handler, metrics: Metrics) -> None:
        self._fallback = fallback
        self._other = _Served(fallback, OTHER, None, metrics)
        self._served: dict[str, _Served] = {}
        self._begins: list[tuple[str, _Served]] = []
        for path, route in routes.items():
            served = _Served(route.handler, path, route, metrics)
            beginning, parameter, _ = path.partition("{")
            if parameter:
                self._begins.append((beginning, served))
            else:
                self._served[path] = self._served[path + "/"] = served

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is no HTTP request."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        began = perf_counter()
        served = self._served.get(scope["path"]) or self._find(scope["path"])
        status = 0

        def watched(message: AsgiMessage) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        try:
            route = served.route
            if route is not None and scope["method"] not in route.methods:
                raise MethodNotAllowed(route.how, route.methods)  # noqa: TRY301 answered as every error of a handler
            await served.handler(scope, receive, watched)
        except Exception as error:
            if not isinstance(error, LicetError):
                log(Event.REQUEST_FAILED, error=error, method=scope["method"], path=scope["path"])
            if status:  # half an answer is out; the server must cut the connection
                raise
            problem = problem_of(error)
            await respond(watched, problem.status, problem.headers, problem.body)
        finally:
            served.count(status)
            served.seconds.observe(perf_counter() - began)

    def _find(self, path: str) -> _Served:
        return next((served for beginning, served in self._begins if path.startswith(beginning)), self._other)
