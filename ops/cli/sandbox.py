"""``durazzo sandbox``: look-alikes of the providers, with a ledger of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from ops import bearer
from ops.cli import terminal
from ops.cli.commands import Command
from ops.loopback import is_loopback
from ops.sandbox.server import serve
from ops.sandbox.settings import (
    WORLDS,
    Settings,
    StripeSettings,
    TwilioSettings,
    WorldName,
)
from orchestrator.errors import SettingsRefused
from orchestrator.settings import secret_of

_TOKEN: Final = "DURAZZO_SANDBOX_TOKEN"  # noqa: S105


@click.command(
    cls=Command,
    example="""\
durazzo sandbox --port 8020 --env-file sandbox.env &
. ./sandbox.env
curl localhost:8020/ledger""",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="0, as by default, is a free port."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write what points durazzo here, for a shell to source.",
)
@click.option(
    "--world",
    type=click.Choice(WORLDS),
    default="real",
    show_default=True,
    help="As the providers behave, or as published descriptions say they do.",
)
@click.option(
    "--redirect-methods", is_flag=True, help="The Stripe account has methods that redirect."
)
@click.option("--stripe-rate", type=float, help="Requests per second per endpoint, then 429.")
@click.option("--twilio-rate", type=float, help="The same for Twilio.")
def sandbox(
    *,
    port: int,
    host: str,
    env_file: Path | None,
    world: WorldName,
    redirect_methods: bool,
    stripe_rate: float | None,
    twilio_rate: float | None,
) -> None:
    """Serve look-alikes of Stripe, Twilio, Fintecture and Anthropic.

    They move no money, send no texts and ask no model. The ledger, and failures to script, are for
    this machine, or for who has DURAZZO_SANDBOX_TOKEN where --host lets others in.
    """
    settings = Settings(
        stripe=StripeSettings(redirect_methods=redirect_methods, rate=stripe_rate),
        twilio=TwilioSettings(rate=twilio_rate),
        world=world,
        control_token=_token(host),
    )
    try:
        serve(port=port, host=host, env_file=env_file, announce=terminal.out, settings=settings)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsRefused(f"the sandbox cannot start on {host}:{port}: {reason}") from error


def _token(host: str) -> str:
    token = secret_of(_TOKEN, os.environ)
    if not token and not is_loopback(host):
        raise SettingsRefused(
            f"on {host} strangers could read the ledger: set {_TOKEN}, or leave --host out"
        )
    if token and not bearer.is_usable(token):
        raise SettingsRefused(f"{_TOKEN} must be {bearer.USABLE}")
    return token
