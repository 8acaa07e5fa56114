"""What reconciliations came to, as people and Prometheus see it."""

import asyncio
import contextlib
import math
import pathlib
import time
from collections.abc import Iterator

import pytest

from licet.bootstrap.desks import drift_desk
from licet.bootstrap.web import watch_store
from licet.observe.metrics import Metrics
from licet.settings import Settings
from licet.store.pools import reader_pool
from support.web import Stage, stage
from support.world import TESTER, fresh

LONGEST_WAIT_S = 20.0


class Silent:
    """A progress bar that nobody watches."""

    def begins(self, what: str, whole: int) -> None:
        pass

    def told(self, more: int) -> None:
        pass


@pytest.fixture(scope="module")
def there(postgres: str, template: str) -> Iterator[Stage]:
    with stage(postgres, template) as built:
        yield built


def test_they_are_listed_the_last_first_and_the_last_one_is_a_gauge(there: Stage, tmp_path: pathlib.Path) -> None:
    there.deal(fresh("acme"), SKU1=True)
    desk = drift_desk(Settings(database_url=there.url))
    for name, ids in (("one.csv", ["a"]), ("two.csv", ["a", "b", "c"])):
        (tmp_path / name).write_text("\n".join(["Id", *ids]))
        desk.reconcile(tmp_path / name, TESTER, None, lambda _: None, Silent())
    page = there.web.get("/v1/reconciliations", limit=1)
    [last] = page["items"]
    assert {key: last[key] for key in ("file", "actor", "rows", "missing", "extra")} == {
        "file": "two.csv",
        "actor": "a test",
        "rows": 3,
        "missing": 3,
        "extra": 1,
    }
    beyond = there.web.get("/v1/reconciliations", limit=1, cursor=page["next"])
    assert [one["file"] for one in beyond["items"]] == ["one.csv"]
    assert beyond["next"] is None
    assert asyncio.run(_gauge(there.url, "missing")) == 3
    assert math.isnan(asyncio.run(_gauge("postgresql://localhost:1/none", "missing")))


async def _gauge(url: str, kind: str) -> float:
    """Return the gauge once the web process's task has set it."""
    metrics = Metrics()
    pool = reader_pool(url)
    await pool.open()
    watching = asyncio.create_task(watch_store(pool, metrics))
    found, until = None, time.monotonic() + LONGEST_WAIT_S
    while found is None and time.monotonic() < until:
        await asyncio.sleep(0.02)
        found = metrics.registry.get_sample_value("licet_drift_customers", {"kind": kind})
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await pool.close()
    assert found is not None
    return found
