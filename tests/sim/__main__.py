"""``make sim``: lives through many seeds, or through one with its trace. The exit code tells whether all held."""

import os
import sys
import time
import traceback

from sim.world import World

SHOWN = 40


def live(seed: int) -> World | None:
    """Run one seed; returns its world, with what went wrong told, or None where all held."""
    world = World(seed)
    try:
        world.run()
    except BaseException as error:  # whatever it is, the seed must be told
        if isinstance(error, KeyboardInterrupt):
            raise
        told = "".join(traceback.format_exception(error, limit=-3))
        print(f"\nseed {seed} fails; replay it with: make sim SEED={seed}\n{told}", flush=True)
        return world
    return None


def replay(seed: int) -> bool:
    """Run one seed and print its whole trace."""
    world = World(seed)
    try:
        world.run()
    finally:
        print("\n".join(world.trace))
    print(f"seed {seed}: all held")
    return True


def sweep(first: int, count: int) -> bool:
    """Run many seeds with a line of progress; stops after the fifth that fails."""
    began, failed = time.monotonic(), list[int]()
    for number, seed in enumerate(range(first, first + count), 1):
        world = live(seed)
        if world is not None:
            failed.append(seed)
            print("\n".join(world.trace[-SHOWN:]), flush=True)
            if len(failed) == 5:
                break
        if number % 100 == 0 and (sys.stdout.isatty() or number % 1000 == 0):
            took = time.monotonic() - began
            end = "\r" if sys.stdout.isatty() else "\n"
            print(f"{number} of {count} seeds, {len(failed)} failed, {took:.0f} s", end=end, flush=True)
    print(f"\n{number} seeds in {time.monotonic() - began:.0f} s, failed: {failed or 'none'}")
    return not failed


def main() -> int:
    seed = os.environ.get("SEED")
    if seed:
        return 0 if replay(int(seed)) else 1
    return 0 if sweep(int(os.environ.get("FIRST") or 0), int(os.environ.get("SEEDS") or 10_000)) else 1


if __name__ == "__main__":
    sys.exit(main())
