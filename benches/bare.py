"""The limits: what the same server does with as little as possible behind it. ``python -m benches.bare …``.

Both are served by Licet's own ``serve``, so that uvicorn's settings are the same, on uvloop; ``--plain`` takes
uvicorn's own connections, as released.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import pathlib
import threading
import uuid
from collections.abc import AsyncIterator

import confluent_kafka
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from licet.bootstrap.web import Web
from licet.cli.serve import serve
from licet.edge.asgi import AsgiScope, Handler, Receive, Send
from licet.edge.connections import Connection
from licet.settings import Settings

_ID = b'"Id":"'


def constant(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Handler:
    """Build a callable that always gives this answer."""

    async def answer(scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG001 ASGI's shape
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


class Straight:
    """Body to Kafka, delivery report to 202: no parsing, no checks, no metrics."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._topic = topic
        self._loop: asyncio.AbstractEventLoop | None = None
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": brokers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "partitioner": "murmur2_random",
                "socket.nagle.disable": True,
                "delivery.timeout.ms": 4000,
            }
        )
        threading.Thread(target=self._poll, daemon=True).start()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:  # noqa: ARG002 ASGI's shape
        """Take one post."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        at = body.index(_ID) + len(_ID)
        customer, event = body[at : at + 36], str(uuid.uuid4()).encode()
        self._loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = self._loop.create_future()
        self._producer.produce(
            self._topic, body, customer, headers=_headers(event), on_delivery=functools.partial(self._report, done)
        )
        await done
        answer = b'{"changes":[{"event_id":"%b","customer_id":"%b"}],"rejected":[]}' % (event, customer)
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 202, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    def _report(
        self, done: asyncio.Future[None], error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message
    ) -> None:
        assert self._loop is not None
        if error is None:
            self._loop.call_soon_threadsafe(done.set_result, None)
        else:
            self._loop.call_soon_threadsafe(done.set_exception, confluent_kafka.KafkaException(error))

    def _poll(self) -> None:
        while True:
            self._producer.poll(0.1)


def _headers(event: bytes) -> list[tuple[str, str | bytes | None]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"licet.customer-change.v1"),
        ("ce_id", event),
        ("ce_source", b"salesforce"),
        ("ce_time", b"2026-01-01T00:00:00.000000+00:00"),
        ("content-type", b"application/json"),
    ]


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def main() -> None:
    """Serve one of the two until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", type=pathlib.Path, help="a JSON file: status, headers, body")
    parser.add_argument("--kafka", nargs=2, metavar=("BROKERS", "TOPIC"))
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    if given.kafka:
        app: Handler = Straight(*given.kafka)
    else:
        said = json.loads(given.answer.read_text())
        headers = [(name.encode(), value.encode()) for name, value in said["headers"]]
        app = constant(said["status"], headers, said["body"].encode())
    settings = Settings.read({}, port=given.port)
    web = Web(app, _nothing, asyncio.Event(), lambda: None)
    connection = HttpToolsProtocol if given.plain else Connection
    uvloop.run(serve(web, settings, lambda: None, connection=connection))


if __name__ == "__main__":
    main()
