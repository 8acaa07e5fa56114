"""The follower: keeps the snapshot at the store's revision, and tells listeners what changes.

What can go wrong, and what follows; meanwhile the old snapshot goes on answering and its age grows:

| what                                                         | then                                        |
|--------------------------------------------------------------|---------------------------------------------|
| a notification is lost, or cannot be had                     | the store is asked every second all the same |
| the store is away                                            | wait a second, ask again                    |
| the store hangs without a word                               | the connection is cut; then as above        |
| the position is unknown (restored, pruned), or too much changed | load anew; listeners are told               |
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from licet.answer.ports import Feed
from licet.answer.snapshot import Latest, Snapshot
from licet.domain.catalog import Catalog, read_catalog
from licet.domain.errors import Unavailable
from licet.observe.log import Event, log
from licet.store.records import Delta
from licet.store.values import CatalogText

T = TypeVar("T")
# What is left to do on the event loop once the thread has read.
Take = Callable[[], None]
POLL_S = 1.0
# A question to the store that has not ended by then is cut off; a load may sort everything first.
LIMIT_S = 5.0
LOAD_LIMIT_S = 180.0


class Listener(Protocol):
    """Who wants to know what changes. Called on the event loop; must not block or fail."""

    def changed(self, delta: Delta, before: Snapshot) -> None:
        """Take a delta a moment before the snapshot moves on to it."""
        ...

    def reloaded(self) -> None:
        """Take note that the snapshot was loaded anew; nobody tells what changed in between."""
        ...


class FeedThread:
    """Reads a feed in a thread of its own, and cuts it off where it hangs."""

    def __init__(self, feed: Feed, name: str) -> None:
        self._feed = feed
        self._thread = ThreadPoolExecutor(1, name)
        self._turn = asyncio.Lock()

    async def call(self, read: Callable[[Feed], T], limit_s: float) -> T:
        """Read, one after the other; what has not ended within the limit fails. Raises ``Unavailable``."""
        async with self._turn:
            running = asyncio.get_running_loop().run_in_executor(self._thread, read, self._feed)
            return await self._ended(running, limit_s)

    def release(self) -> None:
        """Let go of the connection, after what was asked before."""
        self.later(self._feed.close)

    def later(self, do: Callable[[], None]) -> None:
        """Do something after what was asked before."""
        self._thread.submit(do)

    async def close(self) -> None:
        """Let go of the store."""
        self._feed.cut()
        await self._ended(asyncio.ensure_future(asyncio.to_thread(self._thread.shutdown)), POLL_S)
        self._feed.close()

    async def _ended(self, running: asyncio.Future[T], limit_s: float) -> T:
        running.add_done_callback(_seen)
        while not (await asyncio.wait({running}, timeout=limit_s))[0]:
            self._feed.cut()
        return running.result()


class Follower:
    """Follows the store. ``run`` as a task, then ``close``. All but the reading of the feed is on the event loop.

    ``learned`` is called with the catalog of each load and each new one; ``listeners`` with what changes.
    ``stale_after_s``: when answers are too old.
    """

    def __init__(
        self,
        feed: Feed,
        latest: Latest,
        learned: Callable[[Catalog], None],
        *,
        stale_after_s: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.listeners: list[Listener] = []
        self._feed = FeedThread(feed, "follow")
        self._latest = latest
        self._learned = learned
        self._stale_after_s = stale_after_s
        self._monotonic = monotonic
        self._advanced = asyncio.Event()
        self._failure: str | None = None
        self._stale = False

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.step(POLL_S)
                self._recovered()
            except Exception as error:  # noqa: BLE001 the loop must go on; the log and the answers' age say it loudly
                self._failed(error)
                await asyncio.sleep(POLL_S)

    async def step(self, wait_s: float = 0.0) -> None:
        """Wait for a write or the time, then catch up; load where that is all that helps. Raises ``Unavailable``."""
        snapshot = self._latest.snapshot
        take = None
        if snapshot is not None and not snapshot.crowded:
            take = await self._feed.call(lambda feed: self._look(feed, snapshot, wait_s), wait_s + LIMIT_S)
        if take is None:
            take = await self._feed.call(self._load, LOAD_LIMIT_S)
        take()

    async def advanced(self) -> None:
        """Wait for the next step that changed something."""
        await self._advanced.wait()

    async def first_load(self, within_s: float) -> None:
        """Wait until the first load has ended, or the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._latest.snapshot is None:
                    await self.advanced()

    async def ready(self) -> str | None:
        """Return None once the first load has ended, else what is missing, in words."""
        if self._latest.snapshot is not None:
            return None
        return self._failure or "the snapshot is not loaded yet"

    async def close(self) -> None:
        """Let go of the store."""
        await self._feed.close()

    def _look(self, feed: Feed, snapshot: Snapshot, wait_s: float) -> Take | None:
        """Look for what changed; None where only a load helps. Runs in the thread: nothing is applied meanwhile."""
        if wait_s:
            feed.wait(wait_s)
        asked_at = self._monotonic()
        delta = feed.since(snapshot.position)
        if delta is None:
            return None
        catalog = _read(delta.catalog) if delta.catalog is not None else None
        changes = snapshot.prepare(delta.records)

        def take() -> None:
            self._latest.matched_at, self._latest.lag_ms = asked_at, delta.lag_ms
            if delta.position != snapshot.position:
                for listener in self.listeners:
                    listener.changed(delta, snapshot)
                snapshot.apply(changes, delta.position, catalog)
                self._moved(catalog)

        return take

    def _load(self, feed: Feed) -> Take:
        """Load all. Runs in the thread."""
        asked_at = self._monotonic()
        with feed.load() as load:
            snapshot = Snapshot(load.position, _read(load.catalog))
            for chunk in load.chunks:
                snapshot.fill(chunk)
        snapshot.loaded()
        seconds = round(self._monotonic() - asked_at, 3)

        def take() -> None:
            before = self._latest.snapshot
            self._latest.matched_at, self._latest.lag_ms, self._latest.snapshot = asked_at, load.lag_ms, snapshot
            if before is not None:
                self._feed.later(before.forget)
            for listener in self.listeners:
                listener.reloaded()
            self._moved(snapshot.catalog)
            customers, revision = len(snapshot.customers), load.position.revision
            log(Event.SNAPSHOT_LOADED, customers=customers, revision=revision, seconds=seconds)

        return take

    def _moved(self, catalog: Catalog | None) -> None:
        if catalog is not None:
            self._learned(catalog)
        self._advanced.set()
        self._advanced = asyncio.Event()

    def _failed(self, error: Exception) -> None:
        if self._failure is None:
            log(Event.FOLLOW_LOST, error=None if isinstance(error, Unavailable) else error, reason=str(error))
        self._failure = str(error)
        if not self._stale and self._latest.snapshot is not None and self._latest.age_s() > self._stale_after_s:
            self._stale = True
            log(Event.ANSWERS_STALE, age_s=round(self._latest.age_s(), 1))

    def _recovered(self) -> None:
        if self._failure is not None:
            log(Event.FOLLOW_FOUND, revision=self._latest.get().position.revision)
        self._failure, self._stale = None, False


def _seen(ended: asyncio.Future[T]) -> None:
    """Take note of what a reading failed with, where who waited for it was cancelled."""
    if not ended.cancelled():
        ended.exception()


def _read(text: CatalogText) -> Catalog:
    return read_catalog(text.document, text.version)
