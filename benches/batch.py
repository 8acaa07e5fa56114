"""``POST /v1/check`` of 100 customers x 100 features, beside a bare ASGI callable that sends the same bytes.

The limit is what a client waits for those bytes from the bare one.
"""

import json
import re
import statistics
import time
from functools import partial

import psycopg

from benches.machine import (
    LICET,
    Api,
    Machine,
    bare_server,
    cpu_seconds,
    environment,
    eventually,
    licet_web,
    postgres,
    process,
)
from benches.table import Row, below, interleaved

SIDE = 100
ROUNDS = 5
REQUESTS = 10
BAR_MS = 20
BOUGHT = {"SignedTos": True, "SKU1": True, "SKU2": True, "SKU3": True}
_SUM = re.compile(rb'licet_http_request_seconds_sum\{route="/v1/check"\} (\S+)')


def run(machine: Machine) -> list[Row]:
    """Measure."""
    features = [f"feature-{number}" for number in range(SIDE)]
    customers = [f"c{number}" for number in range(SIDE)]
    grid = {"customers": customers, "features": features}
    catalog = machine.folder / "catalog.toml"
    catalog.write_text(_catalog(features))
    with postgres(machine) as (url, _), licet_web(machine, url, catalog=str(catalog)) as (port, web):
        api = Api(port)
        _load(machine, url, api, customers)
        told = api.expect(200, "POST", "/v1/check", grid)["results"]
        if [one["allowed"] for one in told] != [bool(number % 8) for number in range(SIDE)] * SIDE:
            raise RuntimeError("the batch does not answer by the data")
        status, body, headers = api.ask("POST", "/v1/check", grid)
        said = {"status": status, "headers": [(k.lower(), v) for k, v in headers if k != "date"], "body": body.decode()}
        (machine.folder / "answer.json").write_text(json.dumps(said))
        with bare_server(machine, "--answer", str(machine.folder / "answer.json")) as (bare_port, _):
            used = cpu_seconds(web)
            ours, limits = interleaved(ROUNDS, partial(_ask, api, grid), partial(_ask, Api(bare_port), grid))
            used = (cpu_seconds(web) - used) / ROUNDS / REQUESTS * 1000
    server, client = (statistics.median(one[part] for one in ours) for part in (0, 1))
    limit = statistics.median(one[1] for one in limits)
    note = f"in the server, {used:.1f} ms of processor, {len(body):,} bytes; the client waits {client:.1f} ms"
    return [below(Row(what=f"batch {SIDE} x {SIDE}", measured=server, unit="ms", limit=limit, note=note), BAR_MS)]


def _catalog(features: list[str]) -> str:
    """Write a catalog of three SKUs: each feature is granted by none, one, two or all of them, every tenth a number."""
    text = "\n".join(f"[features.{name}]" for name in features)
    for bit in range(3):
        granted = [name for number, name in enumerate(features) if number % 8 >> bit & 1]
        values = (f"{name} = {100 + bit if name.endswith('0') else 'true'}" for name in granted)
        text += f'\n[skus.SKU{bit + 1}]\nflag = "SKU{bit + 1}"\ngrants = {{ {", ".join(values)} }}'
    return text


def _load(machine: Machine, url: str, api: Api, customers: list[str]) -> None:
    """Bring the customers in through the webhook and a worker."""
    api.expect(202, "POST", "/salesforce/webhook", [{"Id": one, **BOUGHT} for one in customers])
    env = environment(database_url=url, metrics_port="0", log_level="error")
    worker = process((*LICET, "worker"), machine.folder / "worker.log", cores=machine.others, env=env)
    with worker, psycopg.connect(url, autocommit=True) as database:
        count = "SELECT count(*) FROM customer"
        eventually(lambda: database.execute(count).fetchone() == (len(customers),), "the customers applied")


def _ask(api: Api, grid: object) -> tuple[float, float]:
    """Ask some times; returns milliseconds each, by the server's own metric and by this client's clock."""
    before, began = _served(api), time.perf_counter()
    for _ in range(REQUESTS):
        api.ask("POST", "/v1/check", grid)
    waited = time.perf_counter() - began
    return (_served(api) - before) / REQUESTS * 1000, waited / REQUESTS * 1000


def _served(api: Api) -> float:
    """Return the seconds that the server has spent on this path; the bare one counts none."""
    found = _SUM.search(api.ask("GET", "/metrics")[1])
    return float(found[1]) if found else 0.0
