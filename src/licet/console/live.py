"""What everybody who watches is shown: read from the store for all of them together, and only while somebody does."""

import asyncio
import collections
import time
from collections.abc import AsyncIterator, Sequence

import jinja2
import msgspec

from licet.console.desks import Desks
from licet.console.findings import ANSWERS, Finding, answers, away, judge
from licet.domain.errors import Unavailable
from licet.store.values import Told

# A change is shown within a second: half of it to be noticed, the rest to get there.
PERIOD_S = 0.5
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
    """The scene, and the streams that follow it. ``run`` as a task; ``stop`` ends the streams and lets nobody in."""

    def __init__(self, desks: Desks, templates: jinja2.Environment) -> None:
        self._desks = desks
        self._parts = templates.get_template("now_parts.html").module
        self._scene = Scene()
        self._heads: collections.deque[tuple[float, int]] = collections.deque()
        self._looked_at = self._judged_at = float("-inf")
        self._looking = asyncio.Lock()
        self._news = asyncio.Event()
        self._stopped = False
        self.viewers = 0

    async def run(self) -> None:
        """Look for as long as somebody watches, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_S)
            if self.viewers:
                await self.look(PERIOD_S / 2)

    async def look(self, max_age_s: float = PERIOD_S) -> Scene:
        """Return the scene, read anew where it is older."""
        async with self._looking:
            if time.monotonic() - self._looked_at > max_age_s:
                await self._look()
                self._news.set()
                self._news = asyncio.Event()
        return self._scene

    def stop(self) -> None:
        """End all streams."""
        self._stopped = True
        self._news.set()

    def admit(self) -> None:
        """Raise ``Unavailable`` where no more may watch."""
        if self._stopped or self.viewers >= VIEWERS:
            raise Unavailable("Licet is stopping" if self._stopped else f"{VIEWERS} people watch already", 5)

    async def follow(self, after: int) -> AsyncIterator[str]:
        """Yield server-sent events: deliveries beyond a sequence number (``rows``), how it stands (``state``)."""
        self.viewers += 1
        try:
            ends, told = time.monotonic() + LASTS_S, ""
            await self.look()
            while not self._stopped and time.monotonic() < ends:
                news, scene = self._news, self._scene
                rows = [row for row in scene.rows if row.sequence > after]
                after = rows[0].sequence if rows else after
                state = str(self._parts.state(scene))  # type: ignore[attr-defined]  # a macro
                said = _event("state", state) if state != told else ""
                told = state
                if rows:
                    said += _event("rows", str(self._parts.rows(rows)), after)  # type: ignore[attr-defined]
                yield said or ": alive\n\n"
                await news.wait()
        finally:
            self.viewers -= 1

    async def _look(self) -> None:
        now = self._looked_at = time.monotonic()
        scene, desks = self._scene, self._desks
        judged = answers(desks.age_s(), desks.stale_after_s)
        try:
            head = scene.rows[0].sequence if scene.rows else 0
            rows = [*await desks.deliveries(head, ROWS), *scene.rows][:ROWS]
            findings = [one for one in scene.findings if one.what != ANSWERS]
            if now - self._judged_at >= JUDGED_S or not findings:
                last = (await desks.reconciliations(None, 1)).rows
                findings = [*judge(await desks.pulse(), await desks.held(), last[0] if last else None)]
                self._judged_at = now
        except Unavailable as error:
            rows, findings, self._judged_at = list(scene.rows), [away(error.detail)], float("-inf")
        ordered = sorted([judged, *findings], key=lambda one: one.level)
        self._scene = Scene(ordered, rows, *self._rate(now, rows[0].sequence if rows else 0))

    def _rate(self, now: float, head: int) -> tuple[float | None, float]:
        if self._heads and now - self._heads[-1][0] > _MINUTE_S:
            self._heads.clear()  # nobody watched
        self._heads.append((now, head))
        while len(self._heads) > 1 and now - self._heads[1][0] >= _MINUTE_S:
            self._heads.popleft()
        since, first = self._heads[0]
        return ((head - first) / (now - since) if now - since >= _RATED_S else None), now - since


def _event(kind: str, text: str, last: int | None = None) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {kind}\n{f'id: {last}' + chr(10) if last is not None else ''}{lines}\n"
