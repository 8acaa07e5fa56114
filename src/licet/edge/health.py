"""Health for machines: is the process alive, may traffic come, and the metrics."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from litestar import Response, get
from litestar.types import ControllerRouterHandler

from licet.domain.errors import Unavailable
from licet.edge.problems import CONTENT_TYPE

# A check that has said nothing after this long (s) counts as waiting: orchestrators give up after some 5 s.
CHECK_LIMIT_S = 2.0
Checks = Mapping[str, Callable[[], Awaitable[str | None]]]
# What a process waits for when it starts and can be without later: it answers from memory, and the door says for itself
# when it cannot take a change. Not ready for their sake, all processes at once would leave applications alone.
MAY_BE_AWAY = frozenset({"store", "queue"})


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether traffic may come: each check with ``ok`` (and a remark), ``away:`` and why, or what it waits for."""

    ready: bool
    checks: dict[str, str]


class NotReady(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document that lists the checks."""

    type: str = f"urn:licet:problem:{Unavailable.code}"
    title: str = "Not ready"
    status: int = 503
    detail: str
    code: str = Unavailable.code
    ready: bool = False
    checks: dict[str, str]


async def run_checks(checks: Checks) -> dict[str, str]:
    """Run all checks at once; ``ok``, ``ok:`` and a remark, or what each waits for."""

    async def run(check: Callable[[], Awaitable[str | None]]) -> str:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await check() or "ok"
        except TimeoutError:
            return f"no answer within {CHECK_LIMIT_S:g} s"
        except Exception as error:  # noqa: BLE001 told in the answer: a broken check is a reason to wait
            return f"{type(error).__name__}: {error}"

    return dict(zip(checks, await asyncio.gather(*map(run, checks.values())), strict=True))


def handlers(checks: Checks, render: Callable[[], tuple[str, bytes]]) -> list[ControllerRouterHandler]:
    """Return the routes. They need no key."""
    seen: set[str] = set()
    probe = functools.partial(get, tags=["Health"], exclude_from_auth=True)

    @probe("/livez", summary="Is the process alive?", sync_to_thread=False)
    def livez() -> Live:
        """200 as long as the process answers; it looks at nothing else, so a store that is away restarts nobody."""
        return Live()

    @probe("/readyz", summary="May traffic come?")
    async def readyz() -> Response[Ready | NotReady]:
        """200 when every check is `ok`, else 503 with what each waits for; store and queue may be away once seen."""
        found = await run_checks(checks)
        waiting = []
        for name, said in found.items():
            if said.partition(":")[0] == "ok":
                seen.add(name)
            elif name in seen & MAY_BE_AWAY:
                found[name] = f"away: {said}"
            else:
                waiting.append(f"{name}: {said}")
        if not waiting:
            return Response(Ready(ready=True, checks=found))
        detail = "waiting for " + "; ".join(waiting)
        return Response(NotReady(detail=detail, checks=found), status_code=503, media_type=CONTENT_TYPE.decode())

    @probe("/metrics", summary="The metrics of this process", media_type="text/plain", sync_to_thread=False)
    def metrics() -> Response[bytes]:
        """In the exposition format of Prometheus."""
        media_type, body = render()
        return Response(body, media_type=media_type.removesuffix("; charset=utf-8"))  # the framework adds it

    return [livez, readyz, metrics]
