"""FastAPI: ``install(app, licet, who)`` once, and ``Depends(feature("…"))`` on a route."""

import inspect
from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from licet_sdk.aio import AsyncLicet
from licet_sdk.client import Licet
from licet_sdk.decision import Decision
from licet_sdk.guard import MEDIA_TYPE, FeatureDenied


def install(app: FastAPI, licet: Licet | AsyncLicet, who: Callable[[Request], Mapping[str, str | None]]) -> None:
    """Make the client known to the app. ``who`` returns ``{"user": …}``, ``{"customer": …}`` or both.

    ``app.exception_handler(FeatureDenied)`` after it shows a refusal your way.
    """
    app.state.licet = licet, who

    @app.exception_handler(FeatureDenied)
    async def show(_: Request, denied: FeatureDenied) -> JSONResponse:
        return JSONResponse(denied.problem, 403, media_type=MEDIA_TYPE)


def feature(name: str) -> Callable[[Request], Awaitable[Decision]]:
    """Return a dependency that lets a route run only for whom the feature is allowed; its value is the decision."""

    async def allowed(request: Request) -> Decision:
        licet, who = request.app.state.licet
        asked = licet.check(name, **who(request))
        decision: Decision = await asked if inspect.isawaitable(asked) else asked
        if not decision.allowed:
            raise FeatureDenied(decision)
        return decision

    return allowed
