"""``GET /v1/check`` beside a bare ASGI callable with the same bytes and headers, and beside OpenFGA."""

import contextlib
import dataclasses
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import psycopg

from benches.machine import (
    LICET,
    ROOT,
    Api,
    Machine,
    bare_server,
    environment,
    eventually,
    licet_web,
    postgres,
    process,
)
from benches.openfga import lacking, openfga
from benches.table import Row, beside, interleaved
from benches.wrk import CONNECTIONS, Load, load, need_wrk, told

CUSTOMERS = 1000  # load.lua asks for these
ROUNDS = 5
SECONDS = 2
BAR = 0.75
WORST_P99 = 2.0
OPENFGA_BAR = 4.0
FEATURE = "inbound-email-security"
_PATH = f"/v1/check?customer=c7&feature={FEATURE}"


def run(machine: Machine) -> list[Row]:
    """Measure."""
    need_wrk()
    with (
        postgres(machine) as (url, _),
        licet_web(machine, url) as (port, web),
    ):
        load_customers(machine, url, Api(port))
        key = read_key(url)
        rows = []
        api = Api(port, key)
        with (
            _bare(machine, api, "--plain") as (bare_port, bare),
            _bare(machine, api) as (joined_port, joined),
            _peer(machine) as peer,
        ):
            for what, connections in (("check", 1), ("check", CONNECTIONS), ("check", 256), ("strangers", CONNECTIONS)):
                ask = partial(load, what, seconds=SECONDS, key=key, connections=connections)
                runs = [partial(ask, port=port, server=web), partial(ask, port=bare_port, server=bare)]
                barred = what == "check" and connections == CONNECTIONS
                if barred:
                    runs += [partial(ask, port=joined_port, server=joined), *peer]
                for run_ in (runs[0], *runs[2:]):
                    run_()  # every answer of this load is kept; OpenFGA's caches are filled
                ours, bares, *peers = interleaved(ROUNDS, *runs)
                name = f"check, {connections} connections" + ("" if what == "check" else ", never the same question")
                rows += _rows(name, "bare ASGI", ours, bares, bar=BAR if barred else None)
                for number, loads in enumerate(peers):
                    if number == 0:
                        rows += _rows(f"{name}, limit on Licet's server", "bare ASGI", ours, loads, bar=None)
                    else:
                        rows += _rows(f"{name}, beside OpenFGA", "OpenFGA", ours, loads, bar=OPENFGA_BAR)
    return rows


def _rows(name: str, peer: str, loads: Sequence[Load], peers: Sequence[Load], bar: float | None) -> list[Row]:
    """Set rates beside the peer's; where there is a bar, the 99th percentiles, too: at most twice the bare one's."""
    rate = Row(what=name, measured=statistics.median(one.rate for one in loads), unit="req/s", peer=peer)
    rate = dataclasses.replace(rate, note=told(loads, peers, peer))
    rate = beside(rate, [one.rate for one in loads], [one.rate for one in peers], bar)
    if bar is None:
        return [rate]
    p99s = [one.p99 for one in loads], [one.p99 for one in peers]
    p99 = beside(Row(what=f"{name}, p99", measured=statistics.median(p99s[0]), unit="ms", peer=peer), *p99s)
    assert p99.ratio is not None
    if peer != "OpenFGA":
        p99 = dataclasses.replace(p99, bar=f"<= {WORST_P99:.0%}", ok=p99.ratio <= WORST_P99)
    return [rate, p99]


def load_customers(machine: Machine, url: str, api: Api) -> None:
    """Bring the customers in through the webhook and a worker, each with a domain."""
    flags = {"SignedTos": True, "SKU1": True, "SKU2": False, "SKU3": False}
    people = {"AccountManager": "Ada Byron", "SalesEngineerId": "0053"}
    numbers = range(CUSTOMERS)
    api.expect(
        202,
        "POST",
        "/salesforce/webhook",
        [{"Id": f"c{i}", "Name": f"c{i}.example", **people, **flags} for i in numbers],
    )
    with (
        process(
            (*LICET, "worker"),
            machine.folder / "worker.log",
            cores=machine.others,
            env=environment(database_url=url, metrics_port="0", log_level="error"),
        ),
        psycopg.connect(url, autocommit=True) as database,
    ):

        def applied() -> bool:
            return database.execute("SELECT count(*) FROM customer").fetchone() == (CUSTOMERS,)

        eventually(applied, f"{CUSTOMERS} customers applied")
        for i in numbers:
            api.expect(200, "PUT", f"/v1/customers/c{i}/domains/c{i}.example")
        last = api.expect(200, "PUT", "/v1/customers/c0/domains/c0.example")["revision"]
    for who in ("customer=c7", "user=ada%40c7.example"):
        decision = api.expect(200, "GET", f"/v1/check?{who}&feature={FEATURE}&min_revision={last}")
        if not decision["allowed"]:
            raise RuntimeError(f"the check does not answer by the data: {decision}")


def read_key(url: str) -> str:
    """Make a key as an application has it: looked up by its hash, with the scope read."""
    command = (*LICET, "keys", "create", "bench", "--scope", "read")
    env = environment(database_url=url, log_level="error")
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def _peer(machine: Machine) -> Iterator[list[Callable[[], Load]]]:
    """Lend the load of OpenFGA; none, and a word why, where it cannot be built."""
    if said := lacking():
        print(f"check beside OpenFGA is left out: {said}")
        yield []
        return
    with openfga(machine, CUSTOMERS, FEATURE) as (port, server, named):
        yield [partial(load, "openfga", port, server, seconds=SECONDS, key=named)]


@contextlib.contextmanager
def _bare(machine: Machine, api: Api, *how: str) -> Iterator[tuple[int, int]]:
    """Serve one of Licet's own answers; uvicorn adds the date to both. ``--plain``: by uvicorn as released."""
    status, body, headers = eventually(lambda: _answer(api), "an answer to copy")
    said = {"status": status, "headers": headers, "body": body.decode()}
    file = machine.folder / "answer.json"
    file.write_text(json.dumps(said))
    with bare_server(machine, "--answer", str(file), *how) as server:
        yield server


def _answer(api: Api) -> tuple[int, bytes, list[tuple[str, str]]] | None:
    status, body, headers = api.ask("GET", _PATH)
    if status != 200:  # the new key is known within a second
        return None
    return status, body, [(name.lower(), value) for name, value in headers if name.lower() != "date"]
