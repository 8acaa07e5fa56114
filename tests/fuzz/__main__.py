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
# Caches fill first: of answers (some 60 MB at most, edge/check), of callers, of what senders are known for. Memory is
# held to what it was half-way; it may grow by what the cases themselves bring into the snapshot (customers, users).
WARM = 1000
PARTS = 8
GROWTH = 1.03


def main() -> int:
    cases, seed = int(os.environ.get("CASES") or CASES), int(os.environ.get("SEED") or 0)
    api, door, began = Count(), Count(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="licet-fuzz-") as folder,
        server() as url,
        running_target(url, pathlib.Path(folder)) as target,
    ):
        fuzz_api(target, Count(), min(WARM, cases), seed + 1)
        memory = [target.memory()]
        for part in range(PARTS):
            fuzz_api(target, api, cases * 6 // (10 * PARTS), seed + 2 + part)
            fuzz_door(target, door, cases * 3 // (10 * PARTS), seed + 2 + part)
            memory.append(target.memory())
            told = f"{api.cases + door.cases} asked, {memory[-1]} KiB resident, {target.customers()} customers known"
            print(f"{told}, {time.monotonic() - began:.0f} s", flush=True)
    records = fuzz_topic(memory_store(default_catalog()), cases // 10, seed)
    for name, count in (("API", api), ("door", door)):
        answers = ", ".join(f"{number} of {status}" for status, number in sorted(count.statuses.items()))
        asked = f"{count.cases} cases, {count.authenticated} authenticated, at most {count.slowest:.2f} s"
        print(f"{name}: {asked}; {answers}")
    share = (api.authenticated + door.authenticated) / max(1, api.cases + door.cases)
    print(f"topic: {records} records, each with one outcome; {api.cases + door.cases + records} cases in all")
    half, last = memory[PARTS // 2], memory[-1]
    each = (last - half) / max(1, (api.cases + door.cases) / 2000)
    print(
        f"authenticated {share:.0%}; resident memory of the web: {memory[0]} KiB at first, {half} half-way, {last} at"
    )
    print(f"the end: {last / half - 1:+.1%} in the second half, {each:+.0f} KiB each 1,000 cases")
    failures = api.failures + door.failures
    print("\n\n".join(failures) if failures else "no failure")
    return 1 if failures or share < 0.8 or last > half * GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
