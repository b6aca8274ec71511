"""``python -m ops.bench``: lists the benchmarks; ``python -m ops.bench spine`` runs one."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Final

from ops.bench import spine
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
        spine.main(runs=options.runs, rounds=options.rounds)
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
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
