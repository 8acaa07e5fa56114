"""A false service on loopback, and clients of either kind that follow it."""

from collections.abc import Iterator
from typing import Any

import pytest

from licet_sdk import Licet, client, link
from support.sdk_clients import InLoop, Open
from support.sdk_service import KEY, Service


@pytest.fixture
def service() -> Iterator[Service]:
    started = Service().start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnect in milliseconds, so that no test waits for a back-off."""
    monkeypatch.setattr(link, "WAITS", (0.01, 0.05))
    monkeypatch.setattr(client, "TICK", 0.02)
    monkeypatch.setattr("licet_sdk.aio.TICK", 0.02)


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest, service: Service) -> Iterator[Open]:
    """Make clients of either kind; all are closed in the end."""
    made: list[Licet | InLoop] = []

    def make(**options: Any) -> Licet | InLoop:
        kind = Licet if request.param == "sync" else InLoop
        made.append(kind(**{"url": service.url, "key": KEY} | options))
        return made[-1]

    yield make
    for one in made:
        one.close()
