"""The load generator: wrk, one thread."""

import dataclasses
import pathlib
import random
import statistics
import subprocess
from collections.abc import Sequence

from benches.machine import cpu_seconds, need

CONNECTIONS = 64
_SCRIPT = pathlib.Path(__file__).with_name("load.lua")


@dataclasses.dataclass(frozen=True)
class Load:
    """One run: requests per second, milliseconds, and what the server's process used of its core.

    ``busy`` is the share of the time (0 to 1): where it is well below 1, the core was not what held the server back.
    ``cpu_us`` is per request; it moves less than the rate where others use the machine.
    """

    requests: int
    rate: float
    p50: float
    p99: float
    busy: float
    cpu_us: float


def told(ours: Sequence[Load], limits: Sequence[Load], peer: str = "bare") -> str:
    """Say in words what the rates leave out, by medians; in brackets the figures of the limit, a peer."""
    p50, p99, busy, cpu = (
        [statistics.median(getattr(one, what) for one in loads) for loads in (ours, limits)]
        for what in ("p50", "p99", "busy", "cpu_us")
    )
    return (
        "{:.1f} ({:.1f}) ms p50, {:.1f} ({:.1f}) ms p99, {:.0f} ({peer} {:.0f}) µs of processor a request, "
        "{:.0%} ({:.0%}) of the core used"
    ).format(*p50, *p99, *cpu, *busy, peer=peer)


def need_wrk() -> None:
    """Raise ``Skipped`` where wrk is missing."""
    need("wrk", "apt-get install wrk, or https://github.com/wg/wrk")


def load(what: str, port: int, server: int, *, seconds: int, key: str = "", connections: int = CONNECTIONS) -> Load:
    """Load one server; ``what`` names a function of load.lua. Raises ``RuntimeError`` where any answer is an error."""
    url = f"http://127.0.0.1:{port}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url, "--"]
    seed = str(random.randrange(2**31))
    before = cpu_seconds(server)
    ran = subprocess.run(
        [*command, what, seed, key], capture_output=True, text=True, timeout=seconds + 20, check=True
    ).stdout
    used = cpu_seconds(server) - before
    found = [line.split()[1:] for line in ran.splitlines() if line.startswith("result ")]
    if not found:
        raise RuntimeError(f"wrk said no result:\n{ran}")
    requests, micros, p50, p99, refused, broken = map(int, found[0])
    if refused or broken:
        raise RuntimeError(f"{what}: {refused} error answers and {broken} broken connections of {requests}")
    return Load(requests, requests / micros * 1e6, p50 / 1000, p99 / 1000, used / micros * 1e6, used / requests * 1e6)
