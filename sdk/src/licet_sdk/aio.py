"""The client for asyncio: a task follows the service."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import httpx

from licet_sdk.client import TICK, Client, Options
from licet_sdk.decision import Decision

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class AsyncLicet:
    """Licet in an asyncio program: ``async with AsyncLicet(…) as licet``, or ``start()`` and ``close()``.

    Takes what ``Licet`` takes. In local mode a question never waits.
    """

    def __init__(self, *, http: httpx.AsyncClient | None = None, **options: "Unpack[Options]") -> None:
        self.core = Client(**options)
        self._given = http
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to follow the service."""
        self._http = self._given or httpx.AsyncClient()
        self._ready = asyncio.Event()
        self.core.listeners.append(lambda event: self._ready.set() if event == "ready" else None)
        if self.core.remote is None:
            await asyncio.to_thread(self.core.copy.load, self.core)
            self._tasks = [asyncio.create_task(one()) for one in (self._follow, self._tend)]

    async def wait_ready(self, timeout: float = 10.0) -> bool:
        """Wait until the service was heard, at most ``timeout`` s. True if there is anything to answer from."""
        if self.core.remote is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ready.wait(), timeout)
        return self.core.remote is not None or self.core.table is not None

    async def allowed(self, feature: str, *, customer: str | None = None, user: str | None = None) -> bool:
        """Tell whether a customer, a user, or a user as a member of a customer may use a feature."""
        if self.core.remote is None:
            return self.core.allowed(feature, customer=customer, user=user)
        return (await self.check(feature, customer=customer, user=user)).allowed

    async def check(self, feature: str, *, customer: str | None = None, user: str | None = None) -> Decision:
        """Decide, and say why. A customer is named by its Salesforce id (15 or 18 characters) or an alias."""
        remote, question = self.core.remote, (feature, customer, user)
        if remote is None:
            return self.core.check(feature, customer=customer, user=user)
        known = remote.known(question)
        if known is not None:
            return known
        try:
            answer = await self._http.get(f"{self.core.url}/v1/check", **self.core.asking(*question))
        except httpx.HTTPError as error:
            return remote.missed(question, repr(error))
        return remote.answered(question, answer.status_code, answer.content)

    async def close(self) -> None:
        """Stop following, write the copy. What is known goes on being answered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.core.copy.save, self.core)
        if self._given is None:
            await self._http.aclose()

    async def _follow(self) -> None:
        while True:
            wait = await self._once()
            await asyncio.sleep(wait)

    async def _once(self) -> float:
        link, core = self.core.link, self.core
        path, params = link.request()
        why = retry_after = ""
        try:
            async with self._http.stream("GET", core.url + path, params=params, **core.sent) as response:
                retry_after, why = response.headers.get("retry-after", ""), link.opened(response.status_code)
                if not why:
                    async for chunk in response.aiter_bytes():
                        if why := link.feed(chunk):
                            break
        except Exception as error:  # noqa: BLE001 the link says what it was and must go on whatever it was
            why = repr(error)
        return link.closed(why, retry_after)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self.core.copy_is_due():
                await asyncio.to_thread(self.core.copy.save, self.core)

    async def __aenter__(self) -> "Self":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
