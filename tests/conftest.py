"""For every test: how hard hypothesis looks, and logs as nobody has configured them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

# "fast" finds the same things every time: what it finds is a bug, never bad luck.
settings.register_profile(
    "fast", deadline=None, derandomize=True, max_examples=60, suppress_health_check=_SLOW
)
settings.register_profile(
    "deep", deadline=None, max_examples=3_000, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

# A shell starts what runs in its background deaf to Ctrl-C, and the processes that tests start and
# interrupt would be so as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.process.fixtures"]


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """A command that ran in this process set the level of all."""
    yield
    structlog.reset_defaults()
