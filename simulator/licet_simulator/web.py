"""The one connection to the web, kept open between requests."""

import dataclasses
import http.client
import json
import select
import urllib.parse
from collections.abc import Mapping

TIMEOUT_S = 10


class Unreachable(Exception):
    """No answer came. The request may have arrived all the same."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP answer of any status."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request was taken."""
        return 200 <= self.status < 300  # noqa: PLR2004 what HTTP calls successful

    def words(self) -> str:
        """Render the status and, where the body is a problem document, what it says: one line, at most 200 letters."""
        try:
            problem = json.loads(self.body)
        except ValueError:
            problem = None
        said = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
        return " ".join(f"{self.status} {said or ''}".split())[:200]


class Web:
    """Licet, or anything else that answers at an address such as ``http://web``."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an address such as http://web or http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request once, with no Content-Type. Raises ``Unreachable``."""
        self._drop_if_closed()
        try:
            try:
                self._connection.request(method, self._prefix + path, body, dict(headers or {}))
            except (BrokenPipeError, ConnectionResetError):
                # A server may refuse a large body before it has read it all; its answer is then already there.
                if self._connection.sock is None:
                    raise
            response = self._connection.getresponse()
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def _drop_if_closed(self) -> None:
        """Servers close idle connections (uvicorn after 5 s); an idle one that has something to read was closed."""
        sock = self._connection.sock
        if sock is not None and select.select([sock], [], [], 0)[0]:
            self._connection.close()
