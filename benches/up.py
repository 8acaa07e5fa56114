"""A fresh clone, ``make up``, the first answer: cold, and the second time."""

import contextlib
import pathlib
import subprocess
import time
import uuid
from collections.abc import Iterator

from benches.machine import ROOT, Api, Machine, environment, eventually, free_port, need, process
from benches.table import Row, below

COLD_S = 60
SECOND_S = 5
SECOND_ROUNDS = 3


def run(machine: Machine) -> list[Row]:
    """Measure. The clone holds what is committed, not what lies in the working tree."""
    need("git", "apt-get install git")
    need("make", "apt-get install make")
    clone = machine.folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True, timeout=60)
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    )
    cold = _first_answer(machine, clone)
    again = [_first_answer(machine, clone) for _ in range(SECOND_ROUNDS)]
    note = f"commit {head.stdout.strip()}; a new .venv, with pip's cache as this machine has it"
    second = f"the slowest of {SECOND_ROUNDS}; " + ", ".join(f"{seconds:.1f}" for seconds in again)
    return [
        below(Row(what="make up, cold", measured=cold, unit="s", note=note), COLD_S),
        below(Row(what="make up, again", measured=max(again), unit="s", note=second), SECOND_S),
    ]


def _first_answer(machine: Machine, clone: pathlib.Path) -> float:
    """Start, post a customer, ask until the answer goes by it. Returns the seconds."""
    port = free_port()
    customer = str(uuid.uuid4())
    began = time.perf_counter()
    with _make_up(machine, clone, port):
        key = clone / ".data" / "api-key"
        eventually(lambda: Api(port).ask("GET", "/livez")[0] == 200, "make up", seconds=240)
        api = Api(port, key.read_text().strip())
        payload = {"Id": customer, "Name": "acme.example", "SignedTos": True, "SKU1": True}
        api.expect(202, "POST", "/salesforce/webhook", payload)
        question = f"/v1/check?customer={customer}&feature=inbound-email-security"
        eventually(lambda: api.expect(200, "GET", question)["allowed"], "the first answer")
        return time.perf_counter() - began


@contextlib.contextmanager
def _make_up(machine: Machine, clone: pathlib.Path, port: int) -> Iterator[None]:
    """Run ``make up`` as a person does; make passes SIGTERM on to what it started."""
    command = ("make", "up", f"ARGS=--port {port}")
    with process(command, machine.folder / "up.log", cores=machine.cores, env=environment(), cwd=clone):
        yield
