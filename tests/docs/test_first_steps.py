"""A newcomer's way, walked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.lab import CHECKOUT
from tests.docs import console

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_the_first_steps_lead_where_they_say(tmp_path: Path) -> None:
    console.check(CHECKOUT / "ops" / "docs" / "first-steps.md", tmp_path)
