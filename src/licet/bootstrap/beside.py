"""What a worker does beside the log: steps in threads of their own, tried again for ever."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence

import msgspec

from licet.domain.errors import Unavailable
from licet.observe.log import Event, log
from licet.queue.ports import LogUnavailable

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0


class Duty(msgspec.Struct, frozen=True):
    """``step`` returns for how many seconds nothing is to be done; what it raises, ``close`` and a wait follow."""

    name: str
    step: Callable[[], float]
    close: Callable[[], None]

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; a step begun is finished first."""
        failed_s = 0.0
        while not stop.is_set():
            try:
                wait_s = self.step()
                if failed_s:
                    log(Event.DUTY_RECOVERED, duty=self.name)
                failed_s = 0.0
            except Exception as error:  # noqa: BLE001 it must go on; the log says it, and the metrics lag behind
                if not failed_s:
                    expected = isinstance(error, (Unavailable, LogUnavailable))
                    log(Event.DUTY_FAILED, error=None if expected else error, duty=self.name, reason=str(error))
                failed_s = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * failed_s))
                wait_s = failed_s * random.uniform(0.5, 1.0)  # noqa: S311 jitter, no secret
                self.close()
            stop.wait(wait_s)
        self.close()


@contextlib.contextmanager
def beside(duties: Sequence[Duty], stop: threading.Event) -> Iterator[None]:
    """Run duties until the block ends, which sets ``stop``."""
    threads = [threading.Thread(target=duty.run, args=(stop,), name=duty.name) for duty in duties]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
