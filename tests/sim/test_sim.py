"""The whole road in memory, in storms that repeat: no change is lost, doubled, overtaken or judged wrongly."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from sim.__main__ import live, main
from sim.bugs import BUGS
from sim.world import World

pytestmark = pytest.mark.storm
SEEDS = 200
CHUNK = 50
TESTS = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_seed_ends_where_the_model_ends(first: int) -> None:
    failed = [seed for seed in range(first, first + CHUNK) if live(seed) is not None]
    assert not failed, "replay one with `make sim SEED=…`"


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_within_two_hundred_seeds(bug: str) -> None:
    with BUGS[bug]() as planted:
        for seed in range(SEEDS):
            world = planted(seed)
            if "spool" in bug and not world.weather.spool:
                world.loop.close()  # it has no spool that could be overtaken
                continue
            try:
                world.run()
            except AssertionError:
                return
    raise AssertionError(f"not found within {SEEDS} seeds")


DIGEST = """
import hashlib, sys
from sim.world import World
for seed in range(8):
    world = World(seed)
    world.run()
    print(seed, len(world.trace), hashlib.sha256("\\n".join(world.trace).encode()).hexdigest())
"""


def test_a_seed_repeats_exactly_in_any_process() -> None:
    told = set()
    for hash_seed in ("1", "2"):  # which orders sets of strings differently
        env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(TESTS)}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        told.add(done.stdout)
    assert len(told) == 1
    assert len(set(next(iter(told)).split())) > 16, "each seed has a trace of its own"


def test_storms_hold_every_kind_of_fault() -> None:
    """What no seed of the first fifty shows is hardly tested."""
    worlds = [World(seed) for seed in range(50)]
    for world in worlds:
        world.run()
    trace = "\n".join(line for world in worlds for line in world.trace)
    for fault in (
        "dies",
        "stands still",
        "is cut off from the store at 'begin'",
        "is cut off from the store at 'committed'",
        "stands still for 12 s at 'loaded'",
        "is thrown out",
        "loses sight",
        "nobody says so",
        "written late",
        "the brokers are down",
        "the store is down",
        "a rogue writes",
        "an operator replays",
        "the 202 is lost",
        "the spool is opened",
        "the spool is closed",
    ):
        assert fault in trace, fault
    for outcome in ("applied", "superseded", "unchanged", "duplicate", "excluded", "tombstoned"):
        assert outcome in trace, outcome
    for reason in ("unreadable", "unknown_original", "source_time_in_future", "event_id_reused"):
        assert f"dead({reason})" in trace, reason


def test_a_seed_that_fails_is_told_with_the_command_that_replays_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BUGS["stale upsert"]():
        monkeypatch.setenv("SEEDS", "10")
        assert main() == 1
    told = capsys.readouterr().out
    assert re.search(r"make sim SEED=\d", told)
    assert re.search(r"^ +[0-9.]+ worker [0-9]", told, re.MULTILINE), "the end of its trace"
    monkeypatch.setenv("SEEDS", "1")
    assert main() == 0
    monkeypatch.setenv("SEED", "0")
    assert main() == 0
    assert "seed 0: all held" in capsys.readouterr().out
