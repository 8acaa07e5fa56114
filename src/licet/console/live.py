"""Now: what is wrong and what to do, and what is applied this moment; read for all who watch together."""

import asyncio
import collections
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import jinja2
import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Stream

from licet.console.desks import Desks, whole
from licet.console.findings import Finding, Level, answers, judge
from licet.console.frame import HOME, Page
from licet.domain.errors import Unavailable
from licet.store.standing import Told

# A change is shown within a second: it waits at most for one reading, and that for whoever watches.
PERIOD_S = 0.4
# Open letters are counted among all there are, 4 ms for a thousand: at most a tenth of the time goes to that.
JUDGED_S = 1.0
ROWS = 50
VIEWERS = 100
# Then the browser comes again, and its session is looked at anew.
LASTS_S = 300.0
_MINUTE_S = 60.0
# Over less than this a rate says nothing.
_RATED_S = 5.0


class Scene(msgspec.Struct, frozen=True):
    """What is shown: the findings, the worst first; the last deliveries, newest first; how many come per second.

    The rate is that of the last ``over_s`` seconds; None: not known yet.
    """

    findings: Sequence[Finding] = ()
    rows: Sequence[Told] = ()
    rate: float | None = None
    over_s: float = 0.0


class Live:
    """The scene, and the streams that follow it: one reading of the store serves all who look within its period."""

    def __init__(self, desks: Desks, templates: jinja2.Environment) -> None:
        self._desks = desks
        self._parts: Any = templates.get_template("now_parts.html").module
        self._scene = Scene()
        self._state, self._rows = "", dict[int, str]()
        self._heads: collections.deque[tuple[float, int]] = collections.deque()
        self._looked_at = self._judge_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False
        self.viewers = 0

    def stop(self) -> None:
        """End all streams; let nobody in."""
        self._stopped = True

    def admit(self) -> None:
        """Raise ``Unavailable`` where no more may watch."""
        if self._stopped or self.viewers >= VIEWERS:
            raise Unavailable("Licet is stopping" if self._stopped else f"{VIEWERS} people watch already", 5)

    async def look(self) -> Scene:
        """Return the scene, read anew where it is older than a period. Who leaves breaks off nothing for the others."""
        if self._reading is None or (self._reading.done() and time.monotonic() - self._looked_at >= PERIOD_S):
            self._reading = asyncio.create_task(self._look())
        await asyncio.shield(self._reading)
        return self._scene

    async def follow(self, after: int, stays: Callable[[], bool] = lambda: True) -> AsyncIterator[str]:
        """Yield server-sent events: how it stands (``state``), and deliveries beyond a sequence number (``rows``).

        It ends once whoever watches does not stay signed in.
        """
        self.viewers += 1
        try:
            ends, told = time.monotonic() + LASTS_S, ""
            yield "retry: 500\n\n"
            while not self._stopped and time.monotonic() < ends and stays():
                rows = (await self.look()).rows
                if after not in self._rows:  # written once for all who know as much
                    news = [row for row in rows if row.sequence > after]
                    self._rows[after] = _event("rows", self._parts.rows(news), rows[0].sequence) if news else ""
                yield self._rows[after] + (self._state if self._state != told else ": alive\n\n")
                after, told = max(after, rows[0].sequence if rows else 0), self._state
                await asyncio.sleep(PERIOD_S)
        finally:
            self.viewers -= 1

    async def _look(self) -> None:
        now = self._looked_at = time.monotonic()
        scene, desks = self._scene, self._desks
        judged = answers(desks.age_s(), desks.stale_after_s)
        try:
            head = scene.rows[0].sequence if scene.rows else 0
            rows = [*await desks.deliveries(head, ROWS), *scene.rows][:ROWS]
            findings = [one for one in scene.findings if one.what != judged.what]
            if now >= self._judge_at or not findings:
                last = (await desks.reconciliations(None, 1)).rows
                findings = [*judge(await desks.pulse(), await desks.held(), last[0] if last else None)]
                self._judge_at = now + max(JUDGED_S, 10 * (time.monotonic() - now))
        except Unavailable as error:
            rows, findings, self._judge_at = list(scene.rows), [Finding("Store", Level.BAD, error.detail)], now
        ordered = sorted([judged, *findings], key=lambda one: one.level)
        self._scene = Scene(ordered, rows, *self._rate(now, rows[0].sequence if rows else 0))
        self._state, self._rows = _event("state", self._parts.state(self._scene)), {}

    def _rate(self, now: float, head: int) -> tuple[float | None, float]:
        if self._heads and now - self._heads[-1][0] > _MINUTE_S:
            self._heads.clear()  # nobody watched
        self._heads.append((now, head))
        while len(self._heads) > 1 and now - self._heads[1][0] >= _MINUTE_S:
            self._heads.popleft()
        since, first = self._heads[0]
        return ((head - first) / (now - since) if now - since >= _RATED_S else None), now - since


def _event(kind: str, text: str, last: int | None = None) -> str:
    named = f"id: {last}\n" if last is not None else ""
    return f"event: {kind}\n{named}" + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"


def handlers(live: Live) -> list[Any]:
    """Return the routes."""

    @get(f"{HOME}/now")
    async def get_now(page: NamedDependency[Page]) -> Response[str]:
        return page.show("now.html", scene=await live.look())

    @get(f"{HOME}/now/stream")
    async def get_stream(page: NamedDependency[Page]) -> Stream:
        live.admit()
        after = whole("after", page.request.headers.get("last-event-id") or page.asked("after")["after"])
        # The header keeps nginx from collecting events before it passes them on.
        return Stream(
            live.follow(after, page.stays), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    return [get_now, get_stream]
