"""Servers that others wrote, and the command line pointed at them.

Asked for by name only (``make foreign``): the first time they are fetched from PyPI and npm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ops.embedded import Embedded
from tests.foreign import servers
from tests.foreign.servers import AUTH_TOKEN, SECRET_KEY, LocalStripe, Prism

_HERE = Path(__file__).parent
_ACCOUNTS = count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without their name (``-m foreign``, or this folder) nothing of them runs."""
    asked = (Path(arg.partition("::")[0]).resolve() for arg in config.args)
    if "foreign" in config.option.markexpr or any(path.is_relative_to(_HERE) for path in asked):
        return
    left_out = [item for item in items if item.get_closest_marker("foreign")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def steps(self) -> list[tuple[str, str, int | None]]:
        """Name, state and HTTP status of each step that was reached."""
        return [(s["step"], s["state"], s.get("status")) for s in self.json["steps"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Durazzo:
    """The command line as a person has it, with a home and a Twilio account of its own."""

    environ: Mapping[str, str]
    stripe: str
    twilio: str

    @property
    def account(self) -> str:
        return self.environ["TWILIO_ACCOUNT_SID"]

    def __call__(self, *words: str, **environ: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", *words],
            check=False,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def by_option(self) -> list[str]:
        """The servers of the seed's source descriptions, by their names."""
        return [
            "--server",
            f"stripeApi={self.stripe}",
            "--server",
            f"twilioMessagingApi={self.twilio}",
        ]

    def by_setting(self) -> dict[str, str]:
        """The same by their published addresses. The one of Twilio has a path."""
        published = {
            "https://api.stripe.com": self.stripe,
            "https://api.twilio.com/2010-04-01": self.twilio,
        }
        return {"DURAZZO_SERVERS": json.dumps(published)}


@pytest.fixture(scope="session")
def localstripe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStripe]:
    with servers.localstripe(tmp_path_factory.mktemp("localstripe")) as running:
        yield running


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    with servers.prism(tmp_path_factory.mktemp("prism")) as running:
        yield running


@pytest.fixture
def localstripe(localstripe_server: LocalStripe) -> LocalStripe:
    localstripe_server.forget()
    return localstripe_server


@pytest.fixture
def durazzo(tmp_path: Path, localstripe: LocalStripe, prism: Prism) -> Iterator[Durazzo]:
    own = ("DURAZZO", "STRIPE", "TWILIO", "ANTHROPIC")
    home = tmp_path / "home"
    yield Durazzo(
        environ={
            **{name: text for name, text in os.environ.items() if not name.startswith(own)},
            "DURAZZO_HOME": str(home),
            "STRIPE_SECRET_KEY": SECRET_KEY,
            # An account for each test, by which Prism's log can be told apart.
            "TWILIO_ACCOUNT_SID": f"AC{next(_ACCOUNTS):032x}",
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "ANTHROPIC_API_KEY": "nobody-reads-it",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stripe=localstripe.url,
        twilio=prism.url,
    )
    if Embedded(home).answers():
        Embedded(home).stop()
