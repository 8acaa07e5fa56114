"""``make fuzz``: CASES cases over the API, the door and the topic; the exit code tells whether all held."""

import os
import pathlib
import sys
import tempfile
import time

from fuzz.cases import Count, fuzz_api, fuzz_door
from fuzz.target import running_target
from fuzz.topic import fuzz_topic
from licet.store.migrate import default_catalog
from support.database import server
from support.stores import memory_store

CASES = 24_000
# The caches fill during the first of them; memory is compared after that.
WARM = 1000
PARTS = 8


def main() -> int:
    cases, seed = int(os.environ.get("CASES") or CASES), int(os.environ.get("SEED") or 0)
    api, door, began = Count(), Count(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="licet-fuzz-") as folder,
        server() as url,
        running_target(url, pathlib.Path(folder)) as target,
    ):
        fuzz_api(target, Count(), min(WARM, cases), seed + 1)
        before = target.memory()
        for part in range(PARTS):
            fuzz_api(target, api, cases * 6 // (10 * PARTS), seed + 2 + part)
            fuzz_door(target, door, cases * 3 // (10 * PARTS), seed + 2 + part)
            told = f"{api.cases + door.cases} asked, {target.memory()} KiB resident"
            print(f"{told}, {time.monotonic() - began:.0f} s", flush=True)
        after = target.memory()
    records = fuzz_topic(memory_store(default_catalog()), cases // 10, seed)
    for name, count in (("API", api), ("door", door)):
        answers = ", ".join(f"{number} of {status}" for status, number in sorted(count.statuses.items()))
        asked = f"{count.cases} cases, {count.authenticated} authenticated, at most {count.slowest:.2f} s"
        print(f"{name}: {asked}; {answers}")
    share = (api.authenticated + door.authenticated) / max(1, api.cases + door.cases)
    print(f"topic: {records} records, each with one outcome; {api.cases + door.cases + records} cases in all")
    print(f"authenticated {share:.0%}; resident memory of the web {before} KiB at the start, {after} KiB at the end")
    failures = api.failures + door.failures
    print("\n\n".join(failures) if failures else "no failure")
    return 1 if failures or share < 0.8 else 0


if __name__ == "__main__":
    sys.exit(main())
