"""A door to knock on: the real front, gate and door, on a log in memory."""

import datetime as dt
import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from licet.domain.catalog import Catalog, read_catalog
from licet.edge.authentication import Authenticator
from licet.edge.body import Bodies
from licet.edge.front import Front, Route
from licet.edge.webhook import HOW, Webhook
from licet.observe.metrics import Metrics
from licet.queue.message import Message, Position
from licet.queue.ports import AppendFailed
from licet.receive.register import Register
from licet.receive.signature import Signatures
from licet.receive.webhook import Door
from licet.receive.who import Gate
from licet.store.ports import StoredKey
from support.asgi import App

NOW = dt.datetime(2026, 11, 23, 9, 0, tzinfo=dt.UTC)


def default_catalog() -> Catalog:
    """The catalog that maps the seed's names."""
    return read_catalog(importlib.resources.files("licet.store").joinpath("default_catalog.toml").read_text("utf-8"))


class RecordingLog:
    """A log in memory. ``judge`` may fail a message; only what is confirmed is held."""

    name = "memory"

    def __init__(self, judge: Callable[[Message], AppendFailed | None] = lambda _: None) -> None:
        self.judge = judge
        self.held: list[Message] = []

    async def append(self, messages: Sequence[Message]) -> Sequence[Position | AppendFailed]:
        results: list[Position | AppendFailed] = []
        for message in messages:
            failed = self.judge(message)
            if failed is None:
                self.held.append(message)
            results.append(failed or Position(0, len(self.held) - 1))
        return results

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


class Doorway(msgspec.Struct, frozen=True):
    """The front and what stands behind it."""

    app: App
    log: RecordingLog
    metrics: Metrics
    register: Register

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


async def nothing_behind(scope: object, receive: object, send: object) -> None:
    raise AssertionError("no request of these tests goes past the front")


def doorway(
    *,
    log: RecordingLog | None = None,
    open_as: str | None = "salesforce",
    secrets: Sequence[tuple[str, str]] = (),
    keys: Sequence[StoredKey] = (),
    organization: str | None = None,
    bodies: Bodies | None = None,
    routes: Mapping[str, Route] | None = None,
    fallback: App = nothing_behind,
    **limits: Any,
) -> Doorway:
    """Build a front; open to anyone unless told otherwise."""
    log = log or RecordingLog()
    metrics = Metrics()
    catalog = default_catalog()

    async def load() -> Sequence[StoredKey]:
        return keys

    def clock() -> dt.datetime:
        return NOW

    gate = Gate(
        authenticate=Authenticator(load, clock=clock).authenticate,
        signatures=Signatures(secrets, 300),
        open_as=open_as,
        clock=clock,
    )
    register = Register(metrics, clock)
    door = Door(
        log, catalog=lambda: catalog, clock=clock, metrics=metrics, register=register, organization=organization
    )
    hook = Route(Webhook(gate, door, metrics, register, bodies, **limits), ("POST",), HOW)
    return Doorway(Front({"/salesforce/webhook": hook, **(routes or {})}, fallback, metrics), log, metrics, register)
