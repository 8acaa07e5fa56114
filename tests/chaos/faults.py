"""What is done to a deployment under load. Each fault begins, lasts, and is over when its function returns."""

import random
import signal
import time
from collections.abc import Callable, Iterable

import psycopg

from chaos.stage import WEBS, WORKERS, Stage
from support.processes import Process, eventually
from support.proxy import Proxy

# Others must go on so soon after a worker was paused inside its transaction.
OTHERS_GO_ON_S = 5.0

Fault = Callable[[Stage, random.Random], None]


def kill_web(stage: Stage, dice: random.Random) -> None:
    number = dice.randrange(WEBS)
    _kill(stage.webs[number])
    stage.webs[number] = stage.start_web(number)


def kill_worker(stage: Stage, dice: random.Random) -> None:
    number = dice.randrange(WORKERS)
    _kill(stage.workers[number])
    stage.workers[number] = stage.start_worker(number)


def kill_all_workers(stage: Stage, _dice: random.Random) -> None:
    for worker in stage.workers:
        _kill(worker)
    stage.workers = [stage.start_worker(number) for number in range(WORKERS)]


def kill_broker(stage: Stage, dice: random.Random) -> None:
    stage.broker.kill()
    time.sleep(dice.uniform(0, 1))
    stage.broker.start()


def kill_database(stage: Stage, dice: random.Random) -> None:
    stage.database.kill()
    time.sleep(dice.uniform(0, 1))
    stage.database.start()


def pause_web(stage: Stage, dice: random.Random) -> None:
    _pause(dice.choice(stage.webs), dice.uniform(0.5, 2.5))


def pause_worker(stage: Stage, dice: random.Random) -> None:
    """Long enough for the group to give its partitions to the other: it comes back as a zombie."""
    _pause(dice.choice(stage.workers), dice.uniform(0.5, 4))


def pause_worker_in_transaction(stage: Stage, dice: random.Random) -> None:
    """Stop a worker while it holds the one write lock; the other must go on within five seconds."""
    number = dice.randrange(WORKERS)
    worker = stage.workers[number]
    if not _stop_in_transaction(stage, worker):
        return  # it had nothing to write
    try:
        before, began = _revision(stage), time.monotonic()
        eventually("another writer goes on", lambda: _revision(stage) > before or None, OTHERS_GO_ON_S)
        stage.locked_out = max(stage.locked_out, time.monotonic() - began)
    finally:
        worker.signal(signal.SIGCONT)


def pause_broker(stage: Stage, dice: random.Random) -> None:
    stage.broker.pause()
    time.sleep(dice.uniform(0.5, 3))
    stage.broker.resume()


def pause_database(stage: Stage, dice: random.Random) -> None:
    stage.database.pause()
    time.sleep(dice.uniform(0.5, 3))
    stage.database.resume()


def cut_kafka(stage: Stage, dice: random.Random) -> None:
    _cut([stage.kafka], dice)


def cut_webs_from_database(stage: Stage, dice: random.Random) -> None:
    _cut([stage.to_webs], dice)


def cut_worker_from_database(stage: Stage, dice: random.Random) -> None:
    _cut([dice.choice(stage.to_workers)], dice)


def slow_kafka(stage: Stage, dice: random.Random) -> None:
    _slow([stage.kafka], dice)


def slow_database(stage: Stage, dice: random.Random) -> None:
    _slow([stage.to_webs, *stage.to_workers], dice)


def end_web(stage: Stage, dice: random.Random) -> None:
    number = dice.randrange(WEBS)
    _end(stage.webs[number])
    stage.webs[number] = stage.start_web(number)


def end_worker(stage: Stage, dice: random.Random) -> None:
    number = dice.randrange(WORKERS)
    _end(stage.workers[number])
    stage.workers[number] = stage.start_worker(number)


FAULTS: tuple[Fault, ...] = (
    kill_web,
    kill_worker,
    kill_all_workers,
    kill_broker,
    kill_database,
    pause_web,
    pause_worker,
    pause_worker_in_transaction,
    pause_broker,
    pause_database,
    cut_kafka,
    cut_webs_from_database,
    cut_worker_from_database,
    slow_kafka,
    slow_database,
    end_web,
    end_worker,
)


def _kill(process: Process) -> None:
    process.signal(signal.SIGKILL)
    process.ended()


def _end(process: Process) -> None:
    """End one that has started: before that nothing is in its hands, and SIGTERM ends it as any program."""
    process.wait_for(r"\bstarted\b.*process=")
    process.signal(signal.SIGTERM)
    assert process.ended(10) == 0, repr(process)  # its words are gone once the run's folder is


def _pause(process: Process, seconds: float) -> None:
    process.signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.signal(signal.SIGCONT)


def _cut(proxies: Iterable[Proxy], dice: random.Random) -> None:
    """End the connections, and let new ones hear nothing."""
    for proxy in proxies:
        proxy.hold()
        if dice.random() < 0.5:
            proxy.cut()
    time.sleep(dice.uniform(0.5, 3))
    for proxy in proxies:
        proxy.release()


def _slow(proxies: Iterable[Proxy], dice: random.Random) -> None:
    for proxy in proxies:
        proxy.delay = dice.choice((0.01, 0.05, 0.2))
    time.sleep(dice.uniform(0.5, 2))
    for proxy in proxies:
        proxy.delay = 0.0


def _revision(stage: Stage) -> int:
    ((revision,),) = stage.rows("SELECT revision FROM revision")
    return int(revision)


def _stop_in_transaction(stage: Stage, worker: Process) -> bool:
    """Stop a worker again and again until it stands still with the lock in its hand; tells whether it does."""
    number = stage.workers.index(worker)
    ports = stage.to_workers[number].outgoing_ports
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'licet worker' AND client_port = ANY(%(ports)s)"
        " AND state = 'idle in transaction' AND now() - state_change > interval '50 ms'"
    )
    with psycopg.connect(stage.database.url, autocommit=True) as connection:
        for _ in range(40):
            worker.signal(signal.SIGSTOP)
            time.sleep(0.08)
            if connection.execute(query.encode(), {"ports": ports()}).fetchone() == (1,):
                return True
            worker.signal(signal.SIGCONT)
            time.sleep(0.005 * (1 + _ % 7))
    return False
