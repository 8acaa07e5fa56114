"""A deployment to fuzz: a web with a closed door, a worker, a key of each scope, a few customers that are there."""

import base64
import contextlib
import pathlib
import re
from collections.abc import Iterator

import httpx

from support.processes import ADMIN, Deployment, Wire, deployed, new_database

SCOPES = ("read", "explain", "write", "ingest", "admin")
SECRET = b"0123456789abcdef0123456789abcdef"
CUSTOMERS = ("acme", "umbrella", "0015g00000AbCdEAAV")
# What a case may name that exists; the rest names what the generator makes up.
KNOWN = {
    "customer_id": [*CUSTOMERS, "0015g00000AbCdE", "tenant:4711"],
    "customer": [*CUSTOMERS, "0015g00000AbCdE", "tenant:4711"],
    "user": ["ada@acme.example", "bob"],
    "user_id": ["ada@acme.example", "bob"],
    "domain": ["acme.example"],
    "alias": ["tenant:4711"],
    "feature": ["inbound-email-security", "account-takeover-protection"],
    "event_id": ["first-acme", "first-umbrella"],
    "after_event": ["first-acme", "first-umbrella", "", "x" * 300],
    "min_revision": ["0", "1", "2", "-1", "two"],
}


class Target:
    """A running deployment and the keys to it."""

    def __init__(self, deployment: Deployment) -> None:
        self.url = deployment.wire.url
        self.web, self.worker = deployment.web, deployment.workers[0]
        self.keys = {scope: self._key(deployment, scope) for scope in SCOPES}
        wire = Wire(self.url)
        for customer in CUSTOMERS:
            body = {"Id": customer, "SignedTos": True, "SKU1": True, "EventId": f"first-{customer}"}
            answer = wire.ask("POST", "/salesforce/webhook", json=body)
            assert answer.status_code == 202, answer.text
        wire.settled(f"first-{CUSTOMERS[-1]}")
        wire.put("/v1/customers/acme/users/ada@acme.example")
        wire.put("/v1/customers/acme/domains/acme.example")
        wire.put("/v1/customers/acme/aliases/tenant:4711")
        wire.close()

    def memory(self) -> int:
        """Return the resident memory of the web, in KiB."""
        status = pathlib.Path(f"/proc/{self.web.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])

    def customers(self) -> int:
        """Return how many customers the web knows."""
        found = re.search(r"^licet_snapshot_customers (\S+)$", httpx.get(f"{self.url}/metrics").text, re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def _key(self, deployment: Deployment, scope: str) -> str:
        done = deployment.command("keys", "create", f"fuzz-{scope}", "--scope", scope)
        assert done.code == 0, done
        return done.out.strip()


@contextlib.contextmanager
def running_target(server: str, folder: pathlib.Path) -> Iterator[Target]:
    """Start the deployment on a database of its own."""
    settings = {
        "LICET_WEBHOOK_AUTH": "required",
        "LICET_WEBHOOK_SECRETS": f"whsec_{base64.b64encode(SECRET).decode()}",
        "LICET_BOOTSTRAP_API_KEY": ADMIN,
    }
    with new_database(server) as url, deployed(folder, url, settings=settings) as deployment:
        yield Target(deployment)
