"""``make kills``: KILLS times a worker is killed while changes flow and licenses start and end; prints the figures."""

import os
import pathlib
import sys
import tempfile
import time

from chaos.database import running_database
from kills.stage import Stage
from support.kafka import lacking, running_broker


def main() -> int:
    missing = lacking()
    if missing:
        print(missing)
        return 2
    kills, seed = int(os.environ.get("KILLS") or 50), int(os.environ.get("SEED") or time.time())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="licet-kills-") as folder:
        home = pathlib.Path(folder)
        with running_broker(home / "kafka") as broker, running_database() as database:
            stage = Stage(home, broker.bootstrap, database.url)
            try:
                tally = stage.run(kills, seed, (0.2, 2.0))
            finally:
                stage.close()
    print(f"seed {seed}, {time.monotonic() - began:.0f} s: {tally}")
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
