"""The copy on disk, from which a restart in an outage answers: a snapshot's lines, and their SHA-256 as the last."""

import contextlib
import hashlib
import os
import pathlib
import time

from licet_sdk.core import Core, log
from licet_sdk.link import Snapshot
from licet_sdk.table import Table
from licet_sdk.wire import Head, write


class Copy:
    """One copy: for its owner alone, replaced as a whole. ``source`` keeps the copies of two services apart."""

    def __init__(self, folder: str | os.PathLike[str], source: str) -> None:
        self.path = pathlib.Path(folder) / f"licet-{hashlib.sha256(source.encode()).hexdigest()[:16]}.ndjson"
        self._saved = ""

    def load(self, core: Core) -> None:
        """Let the core answer from the copy, where there is a whole one."""
        try:
            head, table = self._read()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.error("the copy %s cannot be used: %s", self.path, error)
            return
        self._saved = table.position
        core.replace(table, max(0.0, time.time() - head.saved_at) * 1000 + head.age_ms, head.lag_ms)
        log.warning("until the licensing service is heard, the copy on disk counts: %s", core.stand())

    def _read(self) -> tuple[Head, Table]:
        body, digest, checksum = Snapshot(), hashlib.sha256(), b""
        with self.path.open("rb") as lines:
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

    def save(self, core: Core) -> None:
        """Write what the core knows, unless it is written already."""
        with core.lock:
            table = core.table
            if table is None or table.position == self._saved:
                return
            head = Head(position=table.position, revision=table.revision, catalog=table.catalog, age_ms=core.age_ms())
            head.licet, head.format, head.saved_at = "snapshot", 1, time.time()
            lines = table.lines()
        partial = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            digest = hashlib.sha256()
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for line in (write(head), *lines):
                    digest.update(line + b"\n")
                    file.write(line + b"\n")
                file.write(digest.hexdigest().encode())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
            self._saved = head.position
        except OSError as error:
            log.error("the copy %s cannot be written: %s", self.path, error)
