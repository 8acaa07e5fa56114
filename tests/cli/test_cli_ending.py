"""How the web process ends: first it is not ready, then it refuses."""

import asyncio

import uvicorn

from licet.bootstrap import Web
from licet.cli import serve


def test_the_web_says_that_it_ends_before_it_refuses_and_a_second_signal_waits_for_nobody() -> None:
    async def run() -> None:
        server = uvicorn.Server(uvicorn.Config("none:app"))
        web = Web(None, None, asyncio.Event())  # type: ignore[arg-type]
        said: list[bool] = []
        serve._end(server, web, lambda: said.append(web.ends.is_set()))
        assert web.ends.is_set()
        assert said == [False], "the simulator of `licet up` ends before the door does"
        assert not server.should_exit
        await asyncio.sleep(serve.NOT_READY_S + 0.1)
        assert server.should_exit
        assert not server.force_exit
        serve._end(server, web, lambda: None)
        assert server.force_exit

    asyncio.run(run())
