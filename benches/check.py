"""``GET /v1/check``, store-backed, beside a bare ASGI callable with the same bytes and headers."""

import contextlib
import json
import statistics
import subprocess
from collections.abc import Collection, Iterator, Sequence
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
    pin,
    postgres,
    process,
)
from benches.table import Row, at_least, beside, interleaved
from benches.wrk import Load, load, need_wrk, told

CUSTOMERS = 1000  # load.lua asks for these
ROUNDS = 5
SECONDS = 2
BAR = 1500
_PATH = "/v1/check?customer=c7&feature=inbound-email-security"


def run(machine: Machine) -> list[Row]:
    """Measure."""
    need_wrk()
    with (
        postgres(machine) as (url, postmaster),
        licet_web(machine, url) as (port, web),
    ):
        _load_customers(machine, url, Api(port))
        key = _read_key(url)
        with _bare(machine, Api(port, key)) as (bare_port, bare):

            def ours(cores: Collection[int]) -> Load:
                pin(postmaster, cores)
                return load("check", port, web, seconds=SECONDS, key=key)

            ours(machine.others)  # plans are made, caches are warm
            apart, together, limits = interleaved(
                ROUNDS,
                partial(ours, machine.others),
                partial(ours, {machine.server}),
                partial(load, "check", bare_port, bare, seconds=SECONDS),
            )
    return [
        *_rows("check", apart, limits),
        *_rows("check, PostgreSQL on the same core", together, limits),
    ]


def _rows(name: str, loads: Sequence[Load], limits: Sequence[Load]) -> Iterator[Row]:
    rates, bare = [one.rate for one in loads], [one.rate for one in limits]
    row = Row(what=name, measured=statistics.median(rates), unit="req/s", note=told(loads, limits))
    yield at_least(beside(row, rates, bare), BAR)


def _load_customers(machine: Machine, url: str, api: Api) -> None:
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
        database.execute("ANALYZE")
    for who in ("customer=c7", "user=ada%40c7.example"):
        decision = api.expect(200, "GET", f"/v1/check?{who}&feature=inbound-email-security")
        if not decision["allowed"]:
            raise RuntimeError(f"the check does not answer by the data: {decision}")


def _read_key(url: str) -> str:
    """Make a key as an application has it: looked up by its hash, with the scope read."""
    command = (*LICET, "keys", "create", "bench", "--scope", "read")
    env = environment(database_url=url, log_level="error")
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def _bare(machine: Machine, api: Api) -> Iterator[tuple[int, int]]:
    """Serve one of Licet's own answers; uvicorn adds the date to both."""
    status, body, headers = eventually(lambda: _answer(api), "an answer to copy")
    said = {"status": status, "headers": headers, "body": body.decode()}
    file = machine.folder / "answer.json"
    file.write_text(json.dumps(said))
    with bare_server(machine, "--answer", str(file)) as server:
        yield server


def _answer(api: Api) -> tuple[int, bytes, list[tuple[str, str]]] | None:
    status, body, headers = api.ask("GET", _PATH)
    if status != 200:  # the new key is known within a second
        return None
    return status, body, [(name.lower(), value) for name, value in headers if name.lower() != "date"]
