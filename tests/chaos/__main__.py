"""``make chaos``: ROUNDS rounds of faults at RATE changes a second; the exit code tells whether all held."""

import os
import pathlib
import sys
import tempfile
import time

from chaos.rounds import Tally, faults_of, names, play, verified
from chaos.stage import running_stage
from support.kafka import lacking

ROUNDS = 20
RATE = 500


def main() -> int:
    missing = lacking()
    if missing:
        print(missing)
        return 2
    rounds, rate = int(os.environ.get("ROUNDS") or ROUNDS), int(os.environ.get("RATE") or RATE)
    first = int(os.environ.get("FIRST") or 0)
    total, began = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="licet-chaos-") as folder, running_stage(pathlib.Path(folder)) as stage:
        print(f"all started in {time.monotonic() - began:.1f} s; {rounds} rounds at {rate} changes/s", flush=True)
        for number in range(first, first + rounds):
            tally = play(stage, number, rate)
            total.add(tally)
            print(f"round {number}, {names(faults_of(number)[0])}: {tally}", flush=True)
        wrong = verified(stage)
    print(f"\n{total.rounds} rounds in {time.monotonic() - began:.0f} s: {total}")
    print(f"others went on {stage.locked_out:.1f} s after a worker was paused inside its transaction, at the latest")
    if wrong:
        print(f"licet verify: {wrong}")
    return 0 if total.clean and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
