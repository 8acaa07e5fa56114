"""A deployment to look at: the real web process with its console and a real worker, on a database of its own."""

import contextlib
from collections.abc import Iterator
from typing import Any

import httpx

from licet.bootstrap.worker import worker_thread
from licet.settings import Settings
from support.console import Served, served_console

# What the web process and the worker of a stage are set to: a brake that holds from the third end on.
BRAKE: dict[str, Any] = {"brake_ends": 2, "brake_share": 0}


class Staged:
    """``at`` is the console; whatever is posted is applied by the worker."""

    def __init__(self, at: Served) -> None:
        self.at = at

    def post(self, customer: str, status: int = 202, **fields: Any) -> Any:
        """Post a change as Salesforce does, where the door is open; returns the answer."""
        payload = {"Id": customer, "SignedTos": True, **fields}
        answer = httpx.post(f"{self.at.url}/salesforce/webhook", json=payload)
        assert answer.status_code == status, answer.text
        return answer.json()


@contextlib.contextmanager
def staged_console(server_url: str, template: str, **settings: Any) -> Iterator[Staged]:
    """Serve a console, an open door and a worker until the block ends."""
    with (
        served_console(server_url, template, webhook_auth="none", **BRAKE, **settings) as served,
        worker_thread(Settings(database_url=served.database, **BRAKE)),
    ):
        yield Staged(served)
