"""Ten rounds of ``make chaos`` on one deployment: whatever is killed, paused or cut off, each 202 has its outcome."""

from collections.abc import Iterator

import pytest

from chaos.load import Load
from chaos.rounds import faults_of, judge, names, play, sequence, verified
from chaos.stage import Stage, running_stage
from support.kafka import lacking

pytestmark = [pytest.mark.broker, pytest.mark.storm]
# Each ends in a second or two after its fault; a broker that is killed takes longer, so only one does.
ROUNDS = (0, 1, 3, 4, 6, 7, 9, 10, 12, 16)
RATE = 200


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Two webs, two workers, a real broker and a real database of this module alone."""
    missing = lacking()
    if missing is not None:
        pytest.skip(missing)
    with running_stage(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.mark.parametrize("number", [pytest.param(number, id=names(faults_of(number)[0])) for number in ROUNDS])
def test_nothing_acknowledged_is_lost_or_applied_twice(stage: Stage, number: int) -> None:
    tally = play(stage, number, RATE)
    assert tally.clean, str(tally)
    assert tally.acknowledged > RATE / 4, str(tally)
    assert tally.outcomes["applied"] > 0
    assert stage.locked_out <= 5


def test_what_a_round_leaves_behind_is_verified_and_a_loss_or_a_second_application_would_be_seen(stage: Stage) -> None:
    assert play(stage, ROUNDS[0], RATE).clean  # each test may be the first one of its process
    assert verified(stage) is None
    load = Load(stage.urls, stage.broker.bootstrap, RATE, "none")
    load.acknowledged = {("an event that never was", "chaos-1")}
    assert judge(stage, load, sequence(stage)).lost == 1
    load.acknowledged.clear()
    forged = (
        'INSERT INTO delivery SELECT log, partition, "offset" + %(more)s, sequence + %(more)s, revision, source,'
        " event_id, customer_id, payload_hash, received_at, source_time, outcome, reason, rule, replay_of, payload"
        " FROM delivery WHERE outcome = 'applied' ORDER BY sequence DESC LIMIT 1 RETURNING sequence"
    )
    assert len(stage.rows(forged, more=1_000_000)) == 1
    tally = judge(stage, load, 0)
    assert (tally.doubled, tally.clean) == (1, False)
    assert tally.unjudged > 0
