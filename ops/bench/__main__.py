"""``python -m ops.bench``: lists the benchmarks; ``python -m ops.bench spine`` runs one."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Final

from ops.bench import backlog, durability, spine, timers
from ops.bench.stage import BenchBroken

_INTERRUPTED: Final = 130


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if options.bench is None:
        parser.print_help()
        return 0
    # So that an end from outside also ends what was started here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_INTERRUPTED))
    try:
        options.main(options)
    except BenchBroken as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted, everything that it started was ended", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="Benchmarks.")
    benches = parser.add_subparsers(dest="bench", title="benchmarks", metavar="NAME")
    one = benches.add_parser("spine", help=spine.SUMMARY, description=spine.SUMMARY)
    one.add_argument("--runs", type=_positive, default=spine.RUNS, help="runs a team and round")
    one.add_argument("--rounds", type=_positive, default=spine.ROUNDS, help="rounds of each team")
    one.set_defaults(main=lambda given: spine.main(runs=given.runs, rounds=given.rounds))
    one = benches.add_parser("durability", help=durability.SUMMARY, description=durability.SUMMARY)
    one.add_argument("--runs", type=_positive, default=durability.RUNS, help="runs in a round")
    one.add_argument("--rounds", type=_positive, default=durability.ROUNDS, help="rounds of each")
    one.set_defaults(main=lambda given: durability.main(runs=given.runs, rounds=given.rounds))
    one = benches.add_parser("timers", help=timers.SUMMARY, description=timers.SUMMARY)
    one.add_argument("--runs", type=_positive, default=timers.RUNS, help="runs that wait")
    one.set_defaults(main=lambda given: timers.main(runs=given.runs))
    one = benches.add_parser("backlog", help=backlog.SUMMARY, description=backlog.SUMMARY)
    one.add_argument("--runs", type=_positive, default=backlog.RUNS, help="runs in the lane")
    one.add_argument(
        "--seconds", type=_positive, default=backlog.SECONDS, help="how long each part lasts"
    )
    one.set_defaults(main=lambda given: backlog.main(runs=given.runs, seconds=given.seconds))
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
