"""A sandbox, and HTTP clients of it as somebody would write them who knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from ops.sandbox.clock import ManualClock
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import (
    ANTHROPIC_API_KEY,
    STRIPE_SECRET_KEY,
    TWILIO_ACCOUNT_SID,
    TWILIO_AUTH_TOKEN,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[BackgroundSandbox]:
    with BackgroundSandbox(clock=clock) as running:
        yield running


@pytest.fixture
def stripe_of() -> Callable[[BackgroundSandbox], httpx.Client]:
    return lambda sandbox: httpx.Client(
        base_url=f"{sandbox.url}/stripe",
        headers={"Authorization": f"Bearer {STRIPE_SECRET_KEY}"},
        trust_env=False,
    )


@pytest.fixture
def twilio_of() -> Callable[[BackgroundSandbox], httpx.Client]:
    return lambda sandbox: httpx.Client(
        base_url=f"{sandbox.url}/twilio",
        auth=(TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN),
        trust_env=False,
    )


@pytest.fixture
def stripe(
    sandbox: BackgroundSandbox, stripe_of: Callable[[BackgroundSandbox], httpx.Client]
) -> Iterator[httpx.Client]:
    with stripe_of(sandbox) as client:
        yield client


@pytest.fixture
def twilio(
    sandbox: BackgroundSandbox, twilio_of: Callable[[BackgroundSandbox], httpx.Client]
) -> Iterator[httpx.Client]:
    with twilio_of(sandbox) as client:
        yield client


@pytest.fixture
def fintecture_of() -> Callable[[BackgroundSandbox], httpx.Client]:
    """Without credentials: they are others for a token than for what needs one."""
    return lambda sandbox: httpx.Client(base_url=f"{sandbox.url}/fintecture", trust_env=False)


@pytest.fixture
def anthropic_of() -> Callable[[BackgroundSandbox], httpx.Client]:
    return lambda sandbox: httpx.Client(
        base_url=f"{sandbox.url}/anthropic",
        headers={"x-api-key": ANTHROPIC_API_KEY, "anthropic-version": "2023-06-01"},
        trust_env=False,
    )


@pytest.fixture
def fintecture(
    sandbox: BackgroundSandbox, fintecture_of: Callable[[BackgroundSandbox], httpx.Client]
) -> Iterator[httpx.Client]:
    with fintecture_of(sandbox) as client:
        yield client


@pytest.fixture
def anthropic(
    sandbox: BackgroundSandbox, anthropic_of: Callable[[BackgroundSandbox], httpx.Client]
) -> Iterator[httpx.Client]:
    with anthropic_of(sandbox) as client:
        yield client
