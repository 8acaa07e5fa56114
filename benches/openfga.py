"""OpenFGA, built from its source and run in memory with its check caches on: the peer of ``check``.

It does what Licet does: a key is asked for, metrics are on (its own default), requests are not logged. It is asked
about customers alone, who are in its caches; half of Licet's questions name a user.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

from benches.machine import KEY, Api, Machine, environment, eventually, free_port, process

VERSION = "v1.22.1"
PATIENCE_S = 1200  # a first build compiles 400 packages; a second try goes on where this one was ended
_CUSTOMERS_A_WRITE = 100  # its own limit
_CACHED = "3600s"  # longer than the bench: its best case
_FLAGS = {
    "datastore-engine": "memory",
    "log-level": "error",
    "playground-enabled": "false",
    "authn-method": "preshared",
    "authn-preshared-keys": KEY,
    "check-query-cache-enabled": "true",
    "check-query-cache-ttl": _CACHED,
    "check-iterator-cache-enabled": "true",
    "check-iterator-cache-ttl": _CACHED,
    "check-cache-limit": "100000",
    "shared-iterator-enabled": "true",
}
_MODEL = {
    "schema_version": "1.1",
    "type_definitions": [
        {"type": "customer"},
        {
            "type": "sku",
            "relations": {"holder": {"this": {}}},
            "metadata": {"relations": {"holder": {"directly_related_user_types": [{"type": "customer"}]}}},
        },
        {
            "type": "feature",
            "relations": {
                "granted_by": {"this": {}},
                "allowed": {
                    "tupleToUserset": {
                        "tupleset": {"relation": "granted_by"},
                        "computedUserset": {"relation": "holder"},
                    }
                },
            },
            "metadata": {
                "relations": {"granted_by": {"directly_related_user_types": [{"type": "sku"}]}, "allowed": {}}
            },
        },
    ],
}


def lacking() -> str | None:
    """Say what this machine lacks to build it."""
    return None if _binary().exists() or shutil.which("go") else "Go is not on this machine: https://go.dev/dl"


@contextlib.contextmanager
def openfga(machine: Machine, customers: int, feature: str) -> Iterator[tuple[int, int, str]]:
    """Run it on the server's core with customers ``c0``, ``c1`` … who hold the SKU that grants the feature.

    Yields its port, its pid, and what a check needs: key, path and the model's id, spaces between.
    """
    port = free_port()
    said = _FLAGS | {"http-addr": f"127.0.0.1:{port}"}
    said |= {f"{name}-addr": f"127.0.0.1:{free_port()}" for name in ("grpc", "metrics")}
    command = (str(_built()), "run", *(f"--{name}={value}" for name, value in said.items()))
    with process(command, machine.folder / "openfga.log", cores={machine.server}, env=environment()) as running:
        eventually(lambda: Api(port).ask("GET", "/healthz")[0] == 200, "OpenFGA")
        api = Api(port)
        store = "/stores/" + api.expect(201, "POST", "/stores", {"name": "bench"})["id"]
        model = api.expect(201, "POST", f"{store}/authorization-models", _MODEL)["authorization_model_id"]
        tuples = [_tuple("sku:SKU1", "granted_by", f"feature:{feature}")]
        tuples += [_tuple(f"customer:c{number}", "holder", "sku:SKU1") for number in range(customers)]
        for at in range(0, len(tuples), _CUSTOMERS_A_WRITE):
            some = {"tuple_keys": tuples[at : at + _CUSTOMERS_A_WRITE]}
            api.expect(200, "POST", f"{store}/write", {"writes": some, "authorization_model_id": model})
        for customer, allowed in (("c7", True), ("nobody", False)):
            asked = {"tuple_key": _tuple(f"customer:{customer}", "allowed", f"feature:{feature}")}
            if (
                api.expect(200, "POST", f"{store}/check", asked | {"authorization_model_id": model})["allowed"]
                is not allowed
            ):
                raise RuntimeError("OpenFGA does not answer by the data")
        yield port, running.pid, f"{KEY} {store}/check {model}"


def _binary() -> pathlib.Path:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return cache / "licet-bench" / f"openfga-{VERSION}" / "openfga"


def _built() -> pathlib.Path:
    """Return the binary, built the first time. Raises ``TimeoutExpired`` and ``CalledProcessError``."""
    binary = _binary()
    if not binary.exists():
        print(f"OpenFGA {VERSION} is built once, which takes minutes …", flush=True)
        build = ("go", "install", f"github.com/openfga/openfga/cmd/openfga@{VERSION}")
        subprocess.run(build, env={**os.environ, "GOBIN": str(binary.parent)}, timeout=PATIENCE_S, check=True)
    return binary


def _tuple(user: str, relation: str, to: str) -> dict[str, str]:
    return {"user": user, "relation": relation, "object": to}
