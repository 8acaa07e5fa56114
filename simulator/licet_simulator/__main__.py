"""``python -m licet_simulator``: a false Salesforce for a Licet at an address."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from licet_simulator.simulator import Plan, Simulator
from licet_simulator.web import Web

KEY_VARIABLE = "LICET_SIMULATOR_API_KEY"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulator until it is done or told to end (SIGINT, SIGTERM); both are a success."""
    # Docker sends SIGTERM, a shell may have SIGINT ignored for what it starts in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    web: Web | None = None
    try:
        arguments = _parser().parse_args(argv)
        web = arguments.url
        Simulator(web, _plan(arguments), _ignore if arguments.quiet else _say, _warn).run()
    except KeyboardInterrupt:
        pass
    finally:
        if web is not None:
            web.close()
    return 0


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        customers=arguments.customers,
        period_s=arguments.interval if arguments.rate is None else 1 / arguments.rate,
        count=arguments.count,
        seed=arguments.seed,
        duplicates=arguments.duplicates,
        bad=arguments.bad,
        api_key=arguments.api_key or os.environ.get(KEY_VARIABLE),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("licet_simulator", description="A false Salesforce: random customers and changes.")
    add = parser.add_argument
    add("--url", type=Web, required=True, metavar="URL", help="where Licet is: http://web")
    add("--customers", type=_whole, default=10, metavar="N", help="how many customers (10)")
    add("--interval", type=_positive, default=10.0, metavar="SECONDS", help="time between two changes (10)")
    add("--rate", type=_positive, metavar="PER_SECOND", help="changes a second, instead of --interval")
    add("--count", type=_whole, metavar="N", help="end after so many turns beyond each customer's first post")
    add("--seed", type=int, default=1, metavar="N", help="the same seed makes the same customers and changes (1)")
    add("--duplicates", type=_share, default=0.0, metavar="SHARE", help="share of changes sent twice, 0 to 1 (0)")
    add("--bad", type=_share, default=0.0, metavar="SHARE", help="share of turns with a body to be refused, 0 to 1 (0)")
    add("--api-key", metavar="KEY", help=f"a key to register users and domains with, else {KEY_VARIABLE}")
    add("--quiet", action="store_true", help="only what goes wrong")
    return parser


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def _positive(text: str) -> float:
    number = float(text)
    if not 0.001 <= number <= 100_000:  # noqa: PLR2004 from one in a day's quarter to beyond any web
        raise argparse.ArgumentTypeError("a number from 0.001 to 100000")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("a number from 0 to 1")
    return number


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _warn(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _ignore(_: str) -> None:
    """Quiet: what went well is not said."""


if __name__ == "__main__":
    sys.exit(main())
