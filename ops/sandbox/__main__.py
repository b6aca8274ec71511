"""`python -m ops.sandbox`: the sandbox on its own."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from ops.sandbox.server import serve
from ops.sandbox.settings import WORLDS, Settings, StripeSettings, TwilioSettings


def main() -> int:
    options = _parser().parse_args()
    settings = Settings(
        stripe=StripeSettings(redirect_methods=options.redirect_methods, rate=options.stripe_rate),
        twilio=TwilioSettings(rate=options.twilio_rate),
        world=options.world,
    )
    try:
        serve(
            port=options.port,
            host=options.host,
            env_file=options.env_file,
            announce=functools.partial(print, flush=True),
            settings=settings,
        )
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, as by default, is a free port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--env-file", type=Path, help="where to write what points durazzo here")
    parser.add_argument(
        "--world",
        choices=WORLDS,
        default="real",
        help="documented: as published descriptions say, which is not how the providers behave",
    )
    parser.add_argument(
        "--redirect-methods",
        action="store_true",
        help="the Stripe account has payment methods that redirect",
    )
    parser.add_argument(
        "--stripe-rate", type=float, help="requests per second per endpoint, then 429"
    )
    parser.add_argument("--twilio-rate", type=float, help="the same for Twilio")
    return parser


if __name__ == "__main__":
    sys.exit(main())
