"""FastAPI: ``uvicorn fastapi_app:app``. The user is in a header here; yours comes from the login."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from licet_sdk import AsyncLicet, Decision
from licet_sdk.fastapi import feature, install

licet = AsyncLicet(features=["inbound-email-security"])


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with licet:
        await licet.wait_ready()
        yield


def who(request: Request) -> dict[str, str | None]:
    return {"user": request.headers.get("X-User")}


app = FastAPI(lifespan=lifespan)
install(app, licet, who)


@app.get("/inbound")
async def inbound(decision: Annotated[Decision, Depends(feature("inbound-email-security"))]) -> dict[str, object]:
    return {"filtering": True, "customer": decision.customer}
