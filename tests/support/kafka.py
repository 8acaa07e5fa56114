"""A real Apache Kafka for tests, by ``kafka.sh``."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

_SCRIPT = pathlib.Path(__file__).with_name("kafka.sh")


def lacking() -> str | None:
    """Say what this machine lacks to run a broker."""
    missing = [name for name in ("java", "mvn", "bash") if shutil.which(name) is None]
    return f"no real Kafka here: {' and '.join(missing)} not found" if missing else None


class Broker:
    """One broker on loopback. Its data survives ``kill`` and ``start``."""

    def __init__(self, data: pathlib.Path, java: str = "") -> None:
        self._data, self._java = data, java
        self.port = free_ports()
        # Where clients are sent: to the broker itself, or to a proxy before it.
        self.advertised_port = self.port

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.advertised_port}"

    def start(self) -> None:
        self._run("start", str(self.port))

    def stop(self) -> None:
        self._run("stop")

    def kill(self) -> None:
        """End it as a crash would."""
        self._run("kill")

    def pause(self) -> None:
        """Make it hang: its port is open and it does not answer."""
        self._run("pause")

    def resume(self) -> None:
        self._run("resume")

    def topics(self, *args: str) -> str:
        """Run Kafka's own kafka-topics."""
        return self._run("topics", *args)

    def groups(self, *args: str) -> str:
        """Run Kafka's own kafka-consumer-groups."""
        return self._run("groups", *args)

    def _run(self, verb: str, *args: str) -> str:
        # The broker inherits the script's output, so that goes to a file: a pipe would stay open as long as it runs.
        self._data.mkdir(parents=True, exist_ok=True)
        with (self._data / "script.log").open("w+b") as output:
            command = ["bash", str(_SCRIPT), verb, str(self._data), *args]
            env = {**os.environ, "KAFKA_ADVERTISED_PORT": str(self.advertised_port), "KAFKA_JVM": self._java}
            done = subprocess.run(command, env=env, stdout=output, stderr=subprocess.STDOUT, timeout=300, check=False)
            output.seek(0)
            text = output.read().decode(errors="replace")
        if done.returncode:
            raise RuntimeError(f"kafka.sh {verb}: {text}")
        return text


@contextlib.contextmanager
def running_broker(data: pathlib.Path, *, proxied: bool = False, quick: bool = False) -> Iterator[Broker]:
    """Start a broker and stop it at the end.

    ``proxied``: it sends its clients to a port of somebody else's. ``quick``: its Java compiles quickly and not well,
    which saves 0.8 s of a core at each start; not where speed is measured.
    """
    broker = Broker(data, "-XX:TieredStopAtLevel=1" if quick else "")
    if proxied:
        broker.advertised_port = free_ports()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def free_ports() -> int:
    """Find a port that is free together with the next: the broker's and its controller's."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                two.bind(("127.0.0.1", port + 1))
                return port
