"""A whole deployment on real servers, with a proxy on each of its lines, and hands that reach everywhere."""

import contextlib
import pathlib
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import confluent_kafka
import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from chaos.database import Database, running_database
from support.kafka import Broker, running_broker
from support.processes import ADMIN, Process, eventually, free_port, licet
from support.proxy import Proxy

TOPIC = "licet.customer-changes"
WEBS = WORKERS = 2
# How long the group waits for a member that is silent: 6 s are the product's own. Not near the 2 s after which the
# database throws out a writer that stands still, or the two waits would add up.
SESSION = "session.timeout.ms=4000,heartbeat.interval.ms=500"


class Stage:
    """Two webs, two workers, a broker, a database. Kafka has one proxy, PostgreSQL one for the webs and each worker."""

    def __init__(self, folder: pathlib.Path, broker: Broker, kafka: Proxy, database: Database) -> None:
        folder.mkdir(parents=True)
        self.folder, self.broker, self.kafka, self.database = folder, broker, kafka, database
        self.to_webs = Proxy(("127.0.0.1", database.port))
        self.to_workers = [Proxy(("127.0.0.1", database.port)) for _ in range(WORKERS)]
        settings = {"bootstrap.servers": broker.bootstrap, "group.id": "chaos", "log_level": 0}
        self._consumer = confluent_kafka.Consumer(settings)
        self.locked_out = 0.0  # the longest that others waited for a worker paused inside its transaction, in seconds
        self.proxies = [kafka, self.to_webs, *self.to_workers]
        self.ports = [free_port() for _ in range(WEBS)]
        self.health = [free_port() for _ in range(WORKERS)]
        self.webs = [self.start_web(number) for number in range(WEBS)]
        self.workers = [self.start_worker(number) for number in range(WORKERS)]
        self.ready()

    def start_web(self, number: int) -> Process:
        return Process(self.folder, "web", env=self._env(self.to_webs) | {"LICET_PORT": str(self.ports[number])})

    def start_worker(self, number: int) -> Process:
        env = self._env(self.to_workers[number]) | {"LICET_METRICS_PORT": str(self.health[number])}
        return Process(self.folder, "worker", env=env)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def mend(self) -> None:
        """Let everything flow, and start anew whatever has ended."""
        for proxy in self.proxies:
            proxy.delay = 0.0
            proxy.release()
        self.webs = [web if web.running else self.start_web(number) for number, web in enumerate(self.webs)]
        self.workers = [one if one.running else self.start_worker(number) for number, one in enumerate(self.workers)]

    def ready(self) -> None:
        """Wait until each process says that it is ready."""
        for port in (*self.ports, *self.health):
            eventually(f"port {port} is ready", lambda port=port: _is_ready(port), 40)  # type: ignore[misc]

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Ask the store past every proxy."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def ends(self) -> dict[int, int]:
        """Return where each partition of the topic ends."""
        partitions = self._consumer.list_topics(TOPIC, 10).topics[TOPIC].partitions
        return {
            number: self._consumer.get_watermark_offsets(confluent_kafka.TopicPartition(TOPIC, number), 10)[1]
            for number in partitions
        }

    def close(self) -> None:
        self._consumer.close()
        processes = [process for process in (*self.workers, *self.webs) if process.running]
        for process in processes:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in processes:
            process.close()
        for proxy in (self.to_webs, *self.to_workers):
            proxy.close()

    def _env(self, database: Proxy) -> dict[str, str]:
        url = make_conninfo(self.database.url, port=database.port, sslmode="disable", gssencmode="disable")
        return {
            "LICET_DATABASE_URL": url,
            "LICET_KAFKA_BROKERS": self.broker.bootstrap,
            "LICET_KAFKA_CONFIG": SESSION,
            "LICET_WEBHOOK_AUTH": "none",
            "LICET_BRAKE": "off",  # the load ends licenses all the time
            "LICET_BOOTSTRAP_API_KEY": ADMIN,
        }


def _is_ready(port: int) -> bool | None:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=3).status_code == 200 or None
    return None


@contextlib.contextmanager
def running_stage(folder: pathlib.Path) -> Iterator[Stage]:
    """Start everything once; it ends with the block."""
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(1) as pool:  # neither waits for the other
            starting = pool.submit(stack.enter_context, running_broker(folder / "kafka", proxied=True, quick=True))
            database = stack.enter_context(running_database())
            done = licet("migrate", env={"LICET_DATABASE_URL": database.url}, folder=folder)
            assert done.code == 0, done
            broker = starting.result()
        kafka = Proxy(("127.0.0.1", broker.port), port=broker.advertised_port)
        stack.callback(kafka.close)
        stage = Stage(folder / "licet", broker, kafka, database)
        stack.callback(stage.close)
        yield stage
