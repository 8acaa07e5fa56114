"""Starts the stack and holds it to what it promises: ``check.py SEED COMPOSE…``; run.sh has set the rest.

It knows Licet by its wire alone, and needs the standard library only.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT_S = float(os.environ.get("LICET_COMPOSE_LIMIT_S", "90"))
KEY = os.environ.get("LICET_BOOTSTRAP_API_KEY", "licet-on-loopback-only")
GRANTS = {
    "SKU1": "inbound-email-security",
    "SKU2": "account-takeover-protection",
    "SKU3": "abuse-mailbox-automation",
}


def say(line: str) -> None:
    print(f"  {line}", flush=True)


def eventually(what: str, look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Look every 0.2 s until something is found; returns it."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            sys.exit(f"FAILED: {what}: not within {seconds:.0f} s")
        time.sleep(0.2)


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        sys.exit(f"FAILED: {what}: found {found!r}, expected {expected!r}")


def new_customer(name: str, **flags: bool) -> dict[str, Any]:
    """Make the seed's payload, signed and without a license but for ``flags``."""
    return {
        "AccountManager": "Ada Byron",
        "Id": str(uuid.uuid4()),
        "Name": name,
        "SalesEngineerId": str(uuid.uuid4()),
        "SignedTos": True,
        "SKU1": False,
        "SKU2": False,
        "SKU3": False,
        **flags,
    }


class Licet:
    """The web on its host port; each request on a connection of its own, as a curl would."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen = 0  # the highest revision that an outcome stated; a decision must include it

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return (status, JSON); status 0 where no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {} if method == "POST" else {"Authorization": f"Bearer {KEY}"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode(errors="replace")

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of a 200, None for anything else."""
        status, value = self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
        return value if status == 200 else None

    def post(self, payload: Mapping[str, Any]) -> str | None:
        """Post one change as the seed does; returns its event id, None where it was not accepted."""
        status, value = self.request("POST", "/salesforce/webhook", json.dumps(payload).encode())
        if status != 202:
            return None
        expect("what the 202 says of rejected items", value["rejected"], [])
        expect("the customer of the 202", value["changes"][0]["customer_id"], payload["Id"])
        event_id: str = value["changes"][0]["event_id"]
        return event_id

    def outcome(self, event_id: str) -> str | None:
        """Return the outcome of a change, as ``ignored(unchanged)``; None where it has none yet, or nobody answers."""
        change = self.get(f"/v1/changes/{event_id}")
        if not change or change["outcome"] is None:
            return None
        self.seen = max(self.seen, change["revision"])
        return "applied" if change["outcome"] == "applied" else f"{change['outcome']}({change['reason']})"

    def follow(self, payload: Mapping[str, Any], seconds: float = 60.0) -> str:
        """Post a change until it is accepted, then wait for its outcome; returns that."""
        event_id = eventually("a change is accepted", lambda: self.post(payload), seconds)
        return eventually(f"the change {event_id} has an outcome", lambda: self.outcome(event_id), seconds)

    def check(self, feature: str, **who: str) -> dict[str, Any]:
        """Return a decision that includes every outcome seen here."""
        asked = {"feature": feature, "min_revision": str(self.seen), **who}
        return eventually(f"a decision for {who}", lambda: self.get("/v1/check", **asked), 30)

    def holds(self, payload: Mapping[str, Any]) -> None:
        """Hold every answer about a customer to its last state."""
        for sku, feature in GRANTS.items():
            decision = self.check(feature, customer=str(payload["Id"]))
            expected = bool(payload["SignedTos"] and payload[sku])
            expect(f"{sku} of {payload['Name']} {payload} as decided: {decision}", decision["allowed"], expected)


class Compose:
    """The stack, by the compose command that run.sh found."""

    services = ("db", "broker", "web", "worker", "simulator")

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def __call__(self, *arguments: str) -> str:
        """Run a compose command; returns what it printed."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"FAILED: {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def inspect(self, service: str) -> dict[str, Any]:
        """Return docker's state of the service's one container."""
        container = self("ps", "-q", service).strip()
        if not container:
            return {"Status": "absent"}
        done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)[0]
        return {**found["State"], "RestartCount": found["RestartCount"], "Image": found["Config"]["Image"]}

    def healthy(self, service: str) -> bool | None:
        """Tell whether the service is healthy, or up where it has no check; None where not yet."""
        state = self.inspect(service)
        health = state.get("Health", {}).get("Status", "healthy")
        return True if state["Status"] == "running" and health == "healthy" else None

    def wait_healthy(self, seconds: float = 60.0) -> None:
        """Wait until all services are."""
        for service in self.services:
            eventually(f"{service} is healthy", partial(self.healthy, service), seconds)

    @property
    def network(self) -> str:
        """The name of the network that the services share."""
        return f"{os.environ['COMPOSE_PROJECT_NAME']}_default"


def main(seed: Path, command: list[str]) -> None:
    """Run every check; the first that fails ends it with a line that says what was found."""
    compose, licet = Compose(command), Licet(int(os.environ["LICET_PORT"]))
    start(compose, licet)
    deal_and_its_end(licet)
    console_opens(compose)
    reached_from_the_host(compose)
    runs_without_root(compose)
    seeds_own_simulator(compose, licet, seed)
    restarts(compose, licet)
    stops_cleanly(compose)
    print("test-compose: all well", flush=True)


def start(compose: Compose, licet: Licet) -> None:
    """``up -d`` alone brings all up; the simulator's customers and their people are answered."""
    began = time.monotonic()
    compose("build")
    built = time.monotonic()
    compose("up", "-d")
    compose.wait_healthy(LIMIT_S)
    healthy = time.monotonic()
    customer = eventually("a simulated customer", lambda: first_customer(licet), LIMIT_S)
    decision = licet.check(GRANTS["SKU1"], customer=customer["id"])
    expect("a decision's customer", decision["customer"], customer["id"])
    user = f"someone@{customer['name']}"
    eventually("the simulated customer's people are known", lambda: known(licet, user), LIMIT_S)
    took = time.monotonic() - began
    say(f"built in {built - began:.0f} s, all healthy after {healthy - built:.0f} s more, answered at {took:.0f} s")
    expect(f"an answer within {LIMIT_S:.0f} s (it took {took:.1f})", took < LIMIT_S, True)


def first_customer(licet: Licet) -> dict[str, Any] | None:
    """Return any customer that the store knows."""
    page = licet.get("/v1/customers")
    return page["items"][0] if page and page["items"] else None


def known(licet: Licet, user: str) -> str | None:
    """Return the decision's reason once the user's domain is registered."""
    reason: str = licet.check(GRANTS["SKU1"], user=user)["reason"]
    return None if reason.startswith("unknown") else reason


def deal_and_its_end(licet: Licet) -> None:
    """The story of the README: SKU1 = true is allowed, false is refused, each with its reason."""
    payload = new_customer("deal.example", SKU1=True)
    expect("the outcome of a deal", licet.follow(payload), "applied")
    decision = licet.check(GRANTS["SKU1"], customer=payload["Id"])
    expect("a deal's answer", (decision["allowed"], decision["reason"]), (True, "licensed"))
    expect("the outcome of its end", licet.follow({**payload, "SKU1": False}), "applied")
    decision = licet.check(GRANTS["SKU1"], customer=payload["Id"])
    expect("the end's answer", (decision["allowed"], decision["reason"]), (False, "revoked"))
    expect("a message for the user", bool(decision["message"]), True)
    say(f"SKU1 true: licensed; SKU1 false: {decision['reason']}, {decision['message']}")


def console_opens(compose: Compose) -> None:
    """One command prints a link that signs a browser on the host in, once."""
    link = urllib.parse.urlsplit(compose("exec", "-T", "web", "licet", "console", "link").strip())
    expect("where the link leads", link.netloc, f"localhost:{os.environ['LICET_PORT']}")

    def get(path: str, cookie: str = "") -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", link.port or 0, timeout=10)
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Set-Cookie", "").partition(";")[0], answer.read().decode()

    status, session, _ = get(f"{link.path}?{link.query}")
    expect("the status of the link", status, 303)
    status, _, page = get("/console", session)
    expect("the console's first page", (status, "Find a customer" in page, "admin</small>" in page), (200, True, True))
    expect("the status of the link, used again", get(f"{link.path}?{link.query}")[0], 401)
    say("`licet console link` in the web's container signs a browser in, once")


def reached_from_the_host(compose: Compose) -> None:
    """The store can be read in psql, and Kafka sends the host's clients to the port they came by."""
    rows = compose(
        "exec", "-T", "db", "psql", "-U", "licet", "-d", "licet", "-Atc", "SELECT count(*) FROM license_current"
    )
    expect("licenses in psql", int(rows) > 0, True)
    try:
        from confluent_kafka.admin import AdminClient
    except ImportError:
        print("test-compose: SKIPPED Kafka from the host, it needs confluent-kafka (make test)", file=sys.stderr)
        return
    topics = AdminClient({"bootstrap.servers": f"127.0.0.1:{os.environ['KAFKA_PORT']}"}).list_topics(timeout=10)
    expect(
        "the host's address of the broker", [b.port for b in topics.brokers.values()], [int(os.environ["KAFKA_PORT"])]
    )
    expect("partitions", len(topics.topics["licet.customer-changes"].partitions), 12)
    say(f"psql sees {rows.strip()} licenses, a Kafka client on the host sees the topic and its 12 partitions")


def runs_without_root(compose: Compose) -> None:
    """The image's processes are not root's."""
    for service in ("web", "worker", "simulator"):
        expect(f"the user of {service}", compose("exec", "-T", service, "id", "-u").strip(), "10001")


def seeds_own_simulator(compose: Compose, licet: Licet, seed: Path) -> None:
    """A Go program that posts as the seed's simulator does: its changes are applied and answered."""
    if not seed.exists():
        return
    image = compose.inspect("web")["Image"]
    mounted = f"{seed}:/seed:ro"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", compose.network, "-v", mounted, image, "/seed"],
        capture_output=True,
        text=True,
        check=False,
    )
    expect(f"the seed's simulator ended well: {done.stderr}", done.returncode, 0)
    customers = [json.loads(line) for line in done.stdout.splitlines()]
    expect("its customers", len(customers), 10)
    for customer in customers:
        eventually("its last change is consumed", partial(consumed, licet, customer))
        licet.holds(customer)
    say(f"the seed's own simulator (Go): {len(customers)} customers, 20 changes, all answered by their last state")


def consumed(licet: Licet, state: dict[str, Any]) -> bool | None:
    """Tell whether the answers say what the state says; the posts' event ids are the Go program's."""
    decisions = {sku: licet.get("/v1/check", customer=state["Id"], feature=GRANTS[sku]) for sku in GRANTS}
    same = (d and d["allowed"] == (state["SignedTos"] and state[sku]) for sku, d in decisions.items())
    return True if all(same) else None


class Stream(threading.Thread):
    """Posts change after change of four customers, each until it is accepted, and remembers what was."""

    def __init__(self, licet: Licet) -> None:
        super().__init__(daemon=True)
        self.licet = licet
        self.accepted: list[str] = []
        self.refused = 0
        self.last = [new_customer(f"stream-{n}.example") for n in range(4)]
        self.ending = threading.Event()

    def run(self) -> None:
        for turn in range(1_000_000):
            at, sku = turn % len(self.last), f"SKU{turn % 3 + 1}"
            payload = {**self.last[at], sku: not self.last[at][sku]}
            while (event_id := self.licet.post(payload)) is None:
                self.refused += 1
                time.sleep(0.2)
            self.accepted.append(event_id)
            self.last[at] = payload
            if self.ending.wait(0.1):
                return


@contextmanager
def streaming(licet: Licet) -> Iterator[Stream]:
    """Post in the background for the length of a block."""
    stream = Stream(licet)
    stream.start()
    yield stream
    stream.ending.set()
    stream.join(60)
    expect("the stream of changes came to its end", stream.is_alive(), False)


def new_change(licet: Licet, after: str) -> str:
    """Post a new customer until it is accepted, wait for its outcome, and tell how long each took."""
    began = time.monotonic()
    payload = new_customer(f"after-{after}.example", SKU1=True)
    event_id = eventually("a change is accepted", lambda: licet.post(payload))
    accepted = time.monotonic() - began
    expect("its outcome", eventually("the change has an outcome", lambda: licet.outcome(event_id)), "applied")
    return f"a new change was accepted after {accepted:.1f} s and applied after {time.monotonic() - began:.1f} s"


def restarts(compose: Compose, licet: Licet) -> None:
    """Each service in turn is restarted under a stream of changes; every accepted one is applied."""
    with streaming(licet) as stream:
        for service in ("worker", "web", "broker", "db", "simulator"):
            compose("restart", "-t", "10", service)
            say(f"{service} restarted; {new_change(licet, service)}")
            compose.wait_healthy()
            died = {name: count for name in compose.services if (count := compose.inspect(name)["RestartCount"])}
            expect("processes that died by themselves meanwhile", died, {})
        compose("kill")
        compose("up", "-d")
        say(f"all killed and started again; {new_change(licet, 'power-cut')}")
        compose.wait_healthy()
    outcomes: dict[str, int] = {}
    for event_id in stream.accepted:
        outcome = eventually(f"the accepted change {event_id} has an outcome", partial(licet.outcome, event_id))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    # A post whose answer was cut off may have been kept all the same; sent again, it changes nothing.
    expect(f"outcomes {outcomes}", set(outcomes) <= {"applied", "ignored(unchanged)"}, True)
    for customer in stream.last:
        licet.holds(customer)
    compose.wait_healthy()
    say(f"{len(stream.accepted)} changes accepted meanwhile, none lost: {outcomes}; {stream.refused} posts to repeat")


def stops_cleanly(compose: Compose) -> None:
    """SIGTERM ends each process by its own will, in time."""
    for service in ("simulator", "worker", "web"):
        began = time.monotonic()
        compose("stop", "-t", "15", service)
        took = time.monotonic() - began
        code = compose.inspect(service)["ExitCode"]
        say(f"{service} ended {took:.1f} s after SIGTERM with {code}")
        expect(f"the exit of {service} within 12 s", (code, took < 12), (0, True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
