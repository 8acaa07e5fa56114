"""The web process's side of a trace: a span for each request, and the door's word of it to the queue."""

from collections.abc import Container
from typing import TYPE_CHECKING

from licet.edge.asgi import AsgiMessage, AsgiScope, Handler, Receive, Send

if TYPE_CHECKING:
    from licet.observe.traces import Traces

_HEADER = b"traceparent"
_SERVER_ERROR = 500


class Traced:
    """Serves ``app`` with a span around each request; what is served continues the span instead of the caller's.

    ``routes`` are the paths that name nobody; on any other only the method stands in the span's name.
    """

    def __init__(self, app: Handler, traces: "Traces", routes: Container[str]) -> None:
        self._app = app
        self._traces = traces
        self._routes = routes

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = [value for name, value in scope["headers"] if name == _HEADER]
        method, path, status = scope["method"], scope["path"], 0
        name = f"{method} {path}" if path in self._routes else method
        span = self._traces.serve(name, sent[0].decode("latin-1") if len(sent) == 1 else None)

        async def watched(message: AsgiMessage) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        if len(sent) <= 1:  # what came twice is for the handler to refuse
            others = [one for one in scope["headers"] if one[0] != _HEADER]
            scope = {**scope, "headers": [*others, (_HEADER, span.traceparent.encode())]}
        try:
            await self._app(scope, receive, watched)
        finally:
            failed = not status or status >= _SERVER_ERROR
            span.end({"http.request.method": method, "http.response.status_code": status}, failed=failed)
