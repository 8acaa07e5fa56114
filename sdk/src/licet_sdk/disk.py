"""The copy on disk, from which a restart in an outage answers: a snapshot's lines, and their SHA-256 as the last."""

import hashlib
import itertools
import os
import pathlib
import threading
import time
from collections.abc import Iterable

from licet_sdk.core import Core, log
from licet_sdk.link import Snapshot
from licet_sdk.table import Table
from licet_sdk.wire import Head, write


class Copy:
    """One copy: for its owner alone, replaced as a whole; without a folder there is none.

    ``source`` keeps the copies of two services apart.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, source: str) -> None:
        name = f"licet-{hashlib.sha256(source.encode()).hexdigest()[:16]}.ndjson"
        self.path = pathlib.Path(folder) / name if folder else None
        self._saved = ""
        self._lock = threading.Lock()

    def load(self, core: Core) -> None:
        """Let the core answer from the copy, where there is a whole one."""
        if self.path is None or not self.path.exists():
            return
        try:
            head, table = _read(self.path)
        except (OSError, ValueError) as error:
            log.error("the copy %s cannot be used: %s", self.path, error)
            return
        self._saved = table.position
        core.replace(table, max(0.0, time.time() - head.saved_at) * 1000 + head.age_ms, head.lag_ms)
        log.warning("until the licensing service is heard, the copy on disk counts: %s", core.stand())

    def save(self, core: Core) -> None:
        """Write what the core knows, unless it is written already."""
        with self._lock:
            with core.lock:
                table = core.table
                if self.path is None or table is None or table.position == self._saved:
                    return
                about = Head(
                    position=table.position, revision=table.revision, catalog=table.catalog, age_ms=core.age_ms()
                )
                about.licet, about.format, about.saved_at = "snapshot", 1, time.time()
                lines = table.lines()
            try:
                _write(self.path, itertools.chain([write(about)], lines))
                self._saved = about.position
            except OSError as error:
                log.error("the copy %s cannot be written: %s", self.path, error)


def _read(path: pathlib.Path) -> tuple[Head, Table]:
    body, digest, checksum = Snapshot(), hashlib.sha256(), b""
    with path.open("rb") as lines:
        if os.name == "posix" and os.fstat(lines.fileno()).st_mode & 0o077:
            raise ValueError("found a file that others may read or write, expected mode 0600")
        for line in lines:
            if body.whole:
                checksum = line
            else:
                digest.update(line)
                body.line(line)
    if body.whole is None or checksum != digest.hexdigest().encode():
        raise ValueError("it is not whole, or its checksum does not fit")
    return body.whole


def _write(path: pathlib.Path, lines: Iterable[bytes]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial, digest = path.with_suffix(f".{os.getpid()}"), hashlib.sha256()
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for line in lines:
            digest.update(line + b"\n")
            file.write(line + b"\n")
        file.write(digest.hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
