"""Small servers of the tests on loopback: an OIDC issuer over HTTP, and a real nginx."""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx

from support.issuer import Issuer
from support.processes import eventually, free_port


@contextlib.contextmanager
def served_issuer() -> Iterator[Issuer]:
    """Serve an issuer's description, keys and tokens."""

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(issuer.documents().get(self.path), 404)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["content-length"])).decode()
            form = dict(urllib.parse.parse_qsl(sent))
            self.answer(issuer.redeem(form, self.headers["authorization"]) if self.path == "/token" else None, 400)

        def answer(self, found: Any, otherwise: int) -> None:
            body = json.dumps(found).encode()
            self.send_response(200 if found else otherwise)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()


def nginx_lacking() -> str | None:
    """Say how to get nginx where this machine has none."""
    return None if shutil.which("nginx") else "nginx is not on this machine: apt-get install nginx-light"


@contextlib.contextmanager
def nginx(folder: pathlib.Path, inside: str, url: str, verify: ssl.SSLContext | bool = True) -> Iterator[None]:
    """Run nginx with this inside its http block until the block ends; ``url`` answers once it runs."""
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = folder / "nginx.conf"
    # Root's workers become another user, who cannot read a folder of root's.
    user = "user root;" if os.geteuid() == 0 else ""
    conf.write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{inside}\n}}\n"
    )
    said = ["nginx", "-p", str(folder), "-c", str(conf), "-e", f"{folder}/error.log", "-g", "worker_processes 1;"]
    running = subprocess.Popen(said, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:

        def answers() -> bool | None:
            assert running.poll() is None, (folder / "error.log").read_text()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(url, verify=verify).status_code > 0
            return None

        eventually("nginx answers", answers)
        yield
    finally:
        running.terminate()
        running.wait(10)
        if running.stderr:
            running.stderr.close()


def free_ports(count: int) -> list[int]:
    """Find some ports."""
    return [free_port() for _ in range(count)]
