"""Licet's processes for tests: started as a person starts them, ended by their pid, known by their wire and words.

Nothing here imports Licet. Each process writes its words to files, so that no pipe can fill and stop it.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

T = TypeVar("T")
LICET = [sys.executable, "-m", "licet"]
ADMIN = "an-admin-key-of-the-system-tests"
# Two cores that run other tests beside make a start of one second take several.
PATIENCE_S = 30.0


def free_port() -> int:
    """Find a port of loopback that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def eventually(what: str, look: Callable[[], T | None], seconds: float = PATIENCE_S, every: float = 0.05) -> T:
    """Look until something is found; returns it. ``what`` is what the failure says did not happen."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def licet(*args: str, env: dict[str, str] | None = None, folder: pathlib.Path | None = None) -> "Done":
    """Run one command to its end."""
    done = subprocess.run(
        [*LICET, *args],
        env={**os.environ, **(env or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class Done:
    """What a command that ended came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Process:
    """A running ``licet``. It leads a process group of its own, as a command at a terminal does."""

    def __init__(self, folder: pathlib.Path, *args: str, env: dict[str, str] | None = None) -> None:
        self.args = args
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{args[0]}-{uuid.uuid4().hex[:6]}"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                [*LICET, *args],
                env={**os.environ, **(env or {})},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    @property
    def out(self) -> str:
        """What it wrote to its standard output so far."""
        return self._out.read_text("utf-8")

    @property
    def err(self) -> str:
        """What it wrote to its standard error so far."""
        return self._err.read_text("utf-8")

    def wait_for(self, pattern: str, seconds: float = PATIENCE_S) -> re.Match[str]:
        """Wait until it says something on either output; fails at once where it ends instead."""

        def look() -> re.Match[str] | None:
            ended = not self.running
            found = re.search(pattern, self.out) or re.search(pattern, self.err)
            if found is None and ended:
                raise AssertionError(f"it ended before it said {pattern!r}: {self!r}")
            return found

        try:
            return eventually(f"{self.args[0]} says {pattern!r}", look, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self!r}") from error

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        self._popen.send_signal(number)

    def interrupt_group(self) -> None:
        """Send SIGINT to its whole process group, as a terminal does for Ctrl-C."""
        os.killpg(self._popen.pid, signal.SIGINT)

    def ended(self, seconds: float = 10.0) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it still runs after {seconds:g} s: {self!r}") from error

    def close(self) -> None:
        """End it, gently first; for what is still running when a test is over."""
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(12.0)
        if self.running:
            self._popen.kill()
            self._popen.wait(12.0)

    def __repr__(self) -> str:
        state = "runs" if self.running else f"exit {self._popen.returncode}"
        return f"licet {' '.join(self.args)} ({state})\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wire:
    """What the outside knows of Licet: its address and a key."""

    def __init__(self, url: str, key: str = ADMIN) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=15.0)
        self._key = key
        self._seen = 0

    def ask(self, method: str, path: str, *, key: str | None = "", **options: Any) -> httpx.Response:
        """Send one request; ``key`` is the wire's own unless another or None is given."""
        wanted = self._key if key == "" else key
        headers = {"authorization": f"Bearer {wanted}"} if wanted is not None else {}
        return self._client.request(method, path, headers=headers | options.pop("headers", {}), **options)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a 200."""
        answer = self.ask("GET", path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, path: str) -> Any:
        """Return the JSON of a write that went well."""
        return self._written("PUT", path)

    def delete(self, path: str) -> Any:
        """Return the JSON of a write that went well."""
        return self._written("DELETE", path)

    def _written(self, method: str, path: str) -> Any:
        answer = self.ask(method, path)
        assert answer.status_code == 200, answer.text
        return self.saw(answer.json())

    def saw(self, answer: Any) -> Any:
        """Remember the revision that an answer states: a check that follows must include it."""
        self._seen = max(self._seen, answer["revision"])
        return answer

    def check(self, feature: str, **who: str) -> Any:
        """Return a decision that includes all writes whose revision was seen here."""
        return self.get("/v1/check", feature=feature, min_revision=self._seen, **who)

    def post(self, payload: Any, path: str = "/salesforce/webhook", **headers: str) -> httpx.Response:
        """Post to the webhook as the seed does: no key, no signature, no Content-Type."""
        body = payload if isinstance(payload, bytes) else httpx.Request("POST", "http://a", json=payload).content
        return self._client.post(path, content=body, headers=headers)

    def accepted(self, payload: Any, **headers: str) -> list[str]:
        """Post what is good; returns the event ids."""
        answer = self.post(payload, **headers)
        assert answer.status_code == 202, answer.text
        return [change["event_id"] for change in answer.json()["changes"]]

    def settled(self, event_id: str, seconds: float = PATIENCE_S) -> Any:
        """Wait until a change has its outcome; returns what became of it."""

        def look() -> Any:
            change = self.get(f"/v1/changes/{event_id}")
            return self.saw(change) if change["outcome"] is not None else None

        return eventually(f"the change {event_id} has an outcome", look, seconds, every=0.01)

    def applied(self, payload: Any) -> Any:
        """Post one change and wait until a check includes it; returns what became of it."""
        (event_id,) = self.accepted(payload)
        change = self.settled(event_id)
        assert change["outcome"] == "applied", change
        return change

    def ready(self) -> None:
        """Wait until traffic may come."""
        eventually(f"{self.url} is ready", self._is_ready)

    def _is_ready(self) -> bool | None:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get("/readyz").status_code == 200 or None
        return None

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Deployment:
    """One ``licet web`` and its workers on one database."""

    def __init__(self, folder: pathlib.Path, database: str, settings: dict[str, str], workers: int) -> None:
        self.folder = folder
        self.database = database
        self.port = free_port()
        self.env = {
            "LICET_DATABASE_URL": database,
            "LICET_PORT": str(self.port),
            "LICET_METRICS_PORT": "0",
            "LICET_WEBHOOK_AUTH": "none",
            "LICET_BOOTSTRAP_API_KEY": ADMIN,
            **settings,
        }
        self.web = Process(folder, "web", "--migrate", env=self.env)
        self.workers = [self.start_worker() for _ in range(workers)]
        self.wire = Wire(f"http://127.0.0.1:{self.port}")

    def start_worker(self) -> Process:
        """Start one more worker; whoever calls it outside of a fixture puts it into ``workers``."""
        return Process(self.folder, "worker", env=self.env)

    def ready(self) -> None:
        """Wait until the web serves and each worker holds partitions."""
        self.web.wait_for(r"\bstarted\b.*process=web")
        self.wire.ready()
        for worker in self.workers:
            worker_ready(worker)

    def command(self, *args: str) -> Done:
        """Run an operator's command against this deployment."""
        return licet(*args, env=self.env, folder=self.folder)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Look at the store as a person with psql would."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def close(self) -> None:
        self.wire.close()
        running = [process for process in (*self.workers, self.web) if process.running]
        for process in running:
            process.signal(signal.SIGTERM)  # all at once, so that nobody waits for another
        for process in running:
            process.close()


def worker_ready(worker: Process) -> str:
    """Wait until a worker holds partitions and applies what comes; returns the address of its health."""
    url = worker.wait_for(r"process=worker health=\"?(http://[^/]+)/readyz")[1]

    def look() -> bool | None:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/readyz").status_code == 200 or None
        return None

    eventually(f"the worker at {url} is ready", look)
    return url


@contextlib.contextmanager
def deployed(
    folder: pathlib.Path, database: str, *, workers: int = 1, settings: dict[str, str] | None = None
) -> Iterator[Deployment]:
    """Start a deployment, wait until it is ready, end it."""
    deployment = Deployment(folder, database, settings or {}, workers)
    try:
        deployment.ready()
        yield deployment
    finally:
        deployment.close()


@contextlib.contextmanager
def new_database(server: str) -> Iterator[str]:
    """Make a database with nothing in it; yields its address."""
    name = f"system_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def commands_with(text: str) -> Sequence[str]:
    """List the commands of this machine's processes that hold a text, but for this one's own."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            if text in command and process.name != str(os.getpid()):
                found.append(command)
    return found
