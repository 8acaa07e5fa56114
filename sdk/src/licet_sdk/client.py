"""The synchronous client: a thread follows the service, any thread asks."""

import contextlib
import hashlib
import os
import socket
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import httpx

from licet_sdk.core import Core
from licet_sdk.decision import Decision, Value
from licet_sdk.disk import Copy
from licet_sdk.link import SILENCE, Link
from licet_sdk.remote import Remote

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

TICK, SAVE_EVERY = 1.0, 300.0  # s; a copy is written after the first load, then every so often, and at the end
PATIENCE = 2.0  # s that a question waits in remote mode


class Options(TypedDict, total=False):
    """What a client takes; all of it may be left out.

    ``url``, ``key``: go before LICET_URL and LICET_KEY, one of which must be there. ``mode``: ``local`` (everything in
    memory) or ``remote`` (ask each time, remember for ``keep`` seconds). ``features``: the names that you ask about,
    to be held against the catalog. ``defaults``: answers for a first start without service and copy. ``stale_after``:
    seconds after which a feature's ``when_stale`` counts. ``cache_dir``: the folder of the copy on disk.
    """

    url: str | None
    key: str | None
    mode: Literal["local", "remote"]
    keep: float
    features: Iterable[str]
    defaults: Mapping[str, Value]
    stale_after: float
    cache_dir: str | os.PathLike[str] | None


class Client(Core):
    """What both clients are made of: all but the I/O."""

    def __init__(self, **options: "Unpack[Options]") -> None:
        url = (options.get("url") or os.environ.get("LICET_URL", "")).rstrip("/")
        key = options.get("key") or os.environ.get("LICET_KEY", "")
        if not url or not key:
            raise ValueError("where is Licet, and who are you? Give url and key, or set LICET_URL and LICET_KEY")
        super().__init__(
            features=options.get("features", ()),
            defaults=options.get("defaults", {}),
            stale_after=options.get("stale_after", 60.0),
        )
        self.url = url
        self.sent: dict[str, Any] = {"headers": {"Authorization": f"Bearer {key}"}, "timeout": httpx.Timeout(SILENCE)}
        self.remote = Remote(self, options.get("keep", 2.0)) if options.get("mode") == "remote" else None
        self.link = Link(self)
        folder, source = options.get("cache_dir"), f"{url} {hashlib.sha256(key.encode()).hexdigest()}"
        self._next_copy = 0.0
        self.copy = Copy(folder if self.remote is None else None, source)

    def copy_is_due(self) -> bool:
        """Notice what is too old, and when to write the copy; call it every ``TICK`` seconds."""
        self.tick()
        due = self.table is not None and self.monotonic() >= self._next_copy
        if due:
            self._next_copy = self.monotonic() + SAVE_EVERY
        return due

    def asking(self, feature: str, customer: str | None, user: str | None) -> dict[str, Any]:
        """Return what an HTTP request needs beside its address to ask a question."""
        named = {"feature": feature, "customer": customer, "user": user}
        params = {name: value for name, value in named.items() if value is not None}
        return {**self.sent, "params": params, "timeout": PATIENCE}


class Licet(Client):
    """Licet in this process. It starts at once and never gives up; ``close()`` ends it.

    ``http``: an httpx client of your own (proxy, certificates). A forked child follows the service by itself.
    """

    def __init__(self, *, http: httpx.Client | None = None, **options: "Unpack[Options]") -> None:
        super().__init__(**options)
        self._given = http
        self._ready = threading.Event()
        self.listeners.append(lambda event: self._ready.set() if event == "ready" else None)
        self.copy.load(self)
        self._start()
        _running.add(self)

    def _start(self) -> None:
        self.lock, self._closing = threading.Lock(), threading.Event()
        self._http = self._given or httpx.Client()
        self._response: httpx.Response | None = None
        work = (self._follow, self._tend) if self.remote is None else ()
        self._threads = [threading.Thread(target=one, name="licet", daemon=True) for one in work]
        for thread in self._threads:
            thread.start()

    def wait_ready(self, timeout: float = 10.0) -> bool:
        """Wait until the service was heard, at most ``timeout`` s. True if there is anything to answer from."""
        return self.remote is not None or self._ready.wait(timeout) or self.table is not None

    def close(self) -> None:
        """Stop following, write the copy. What is known goes on being answered."""
        self._closing.set()
        _running.discard(self)
        response = self._response
        stream = response.extensions.get("network_stream") if response is not None else None
        if stream is not None:  # wake the reader, who would wait for the next event
            with contextlib.suppress(OSError):  # it is gone already
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SILENCE)
        if self._given is None:
            self._http.close()

    def ask(self, feature: str, customer: str | None, user: str | None) -> Decision:
        """Answer where there is no table: ask the service in remote mode."""
        if self.remote is None:
            return super().without(feature, customer, user)
        question = (feature, customer, user)
        known = self.remote.known(question)
        if known is not None:
            return known
        try:
            answer = self._http.get(f"{self.url}/v1/check", **self.asking(*question))
        except httpx.HTTPError as error:
            return self.remote.missed(question, repr(error))
        return self.remote.answered(question, answer.status_code, answer.content)

    def _follow(self) -> None:
        while not self._closing.is_set():
            self._closing.wait(self._once())

    def _once(self) -> float:
        path, params = self.link.request()
        why = retry_after = ""
        try:
            with self._http.stream("GET", self.url + path, params=params, **self.sent) as response:
                self._response, retry_after = response, response.headers.get("retry-after", "")
                why = self.link.opened(response.status_code)
                for chunk in response.iter_bytes() if not why else ():
                    if self._closing.is_set() or (why := self.link.feed(chunk)):
                        break
        except Exception as error:  # noqa: BLE001 the link says what it was and must go on whatever it was
            why = repr(error)
        self._response = None
        return 0.0 if self._closing.is_set() else self.link.closed(why, retry_after)

    def _tend(self) -> None:
        while not self._closing.wait(TICK):
            if self.copy_is_due():
                self.copy.save(self)
        self.copy.save(self)

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_running: weakref.WeakSet[Licet] = weakref.WeakSet()


def _go_on_in_child() -> None:
    for licet in list(_running):
        licet._start()  # noqa: SLF001 threads do not survive a fork, nor does a lock that one of them held


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_go_on_in_child)
