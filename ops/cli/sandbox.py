"""``durazzo sandbox``: look-alikes of the providers, with a ledger of their own."""

from __future__ import annotations

from pathlib import Path

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.sandbox.server import serve
from ops.sandbox.settings import (
    WORLDS,
    Settings,
    StripeSettings,
    TwilioSettings,
    WorldName,
)
from orchestrator.errors import SettingsRefused


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

    They move no money, send no texts and ask no model.
    """
    settings = Settings(
        stripe=StripeSettings(redirect_methods=redirect_methods, rate=stripe_rate),
        twilio=TwilioSettings(rate=twilio_rate),
        world=world,
    )
    try:
        serve(port=port, host=host, env_file=env_file, announce=terminal.out, settings=settings)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsRefused(f"the sandbox cannot start on {host}:{port}: {reason}") from error
