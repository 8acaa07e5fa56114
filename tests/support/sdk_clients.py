"""Both clients behind one face."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from licet_sdk import AsyncLicet, Decision, Licet


class InLoop:
    """The asynchronous client in a loop of its own thread, with the face of the synchronous one."""

    def __init__(self, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._licet = AsyncLicet(**options)
        self._run(self._licet.start())

    def allowed(self, feature: str, **who: str | None) -> bool:
        return bool(self._run(self._licet.allowed(feature, **who)))

    def check(self, feature: str, **who: str | None) -> Decision:
        decision = self._run(self._licet.check(feature, **who))
        assert isinstance(decision, Decision)
        return decision

    def wait_ready(self, timeout: float = 10.0) -> bool:
        return bool(self._run(self._licet.wait_ready(timeout)))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self._licet.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


Open = Callable[..., Licet | InLoop]


def eventually(look: Callable[[], object], seconds: float = 10.0) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)
