"""A self-made certificate of loopback, by the openssl command."""

import pathlib
import shutil
import subprocess

import msgspec


class Certificate(msgspec.Struct, frozen=True):
    """Paths of PEM files. The certificate is its own authority; ``both`` holds key and certificate."""

    certificate: str
    key: str
    both: str


def lacking() -> str | None:
    return None if shutil.which("openssl") else "no TLS here: openssl not found"


def made(folder: pathlib.Path, name: str) -> Certificate:
    """Make a certificate for localhost and 127.0.0.1, valid for two days."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key, both = (folder / f"{name}{end}" for end in (".crt", ".key", ".pem"))
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate} "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return Certificate(str(certificate), str(key), str(both))
