"""Several workers on one database: they share the partitions, and the living take over from the dead."""

import pathlib
import signal
from collections.abc import Iterator

import pytest

from support.processes import Deployment, deployed, worker_ready
from system.posting import Sender, all_partitions_move, applied_by, outcomes

CHANGES = 200


@pytest.fixture(scope="module")
def deployment(folder: pathlib.Path, store: str) -> Iterator[Deployment]:
    """A web and two workers."""
    with deployed(folder, store, workers=2) as running:
        yield running


def test_two_workers_share_the_partitions(deployment: Deployment) -> None:
    urls = [worker_ready(worker) for worker in deployment.workers]
    all_partitions_move(deployment.wire, 10)
    shares = [applied_by(url) for url in urls]
    assert min(shares) > 20, shares


def test_a_worker_that_is_killed_loses_nothing_and_another_takes_over(deployment: Deployment) -> None:
    killed = deployment.workers.pop(0)
    with Sender(deployment.wire.url, CHANGES) as sender:
        sender.wait_until_half_is_sent()
        killed.signal(signal.SIGKILL)
        assert killed.ended() == -signal.SIGKILL
        all_partitions_move(deployment.wire, 10)  # half a second on a machine that does nothing else
    assert sender.refused == []
    assert len(sender.event_ids) == CHANGES
    assert outcomes(deployment.wire, sender.event_ids, 10) == {"applied": CHANGES}
    ledger = 'SELECT count(*), count(DISTINCT (log, partition, "offset")), count(DISTINCT sequence) FROM delivery'
    ((deliveries, places, numbers),) = deployment.rows(ledger)
    assert deliveries == places == numbers


def test_a_worker_that_is_told_to_end_ends_well_and_the_others_go_on(deployment: Deployment) -> None:
    ends = deployment.start_worker()
    deployment.workers.append(ends)
    worker_ready(ends)
    with Sender(deployment.wire.url, 200) as sender:
        sender.wait_until_half_is_sent()
        ends.signal(signal.SIGTERM)
        assert ends.ended(10) == 0, ends
    assert "stopped" in ends.err.splitlines()[-1]
    assert outcomes(deployment.wire, sender.event_ids, 10) == {"applied": 200}
    all_partitions_move(deployment.wire, 10)
