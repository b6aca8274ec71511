"""Flower in headless Chromium, over real processes.

Asked for by name only (``make browser``): it needs a Chromium of the system's, and Playwright.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_HERE = Path(__file__).parent
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without their name (``-m browser``, or this folder) nothing of them runs."""
    asked = (Path(arg.partition("::")[0]).resolve() for arg in config.args)
    if "browser" in config.option.markexpr or any(path.is_relative_to(_HERE) for path in asked):
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  only where it is asked for
    except ImportError:
        pytest.fail("Playwright is missing: make browser installs it")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.fail("there is no Chromium: apt-get install chromium")
    # A sandbox of its own is refused to root, as whom containers run tests.
    words = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=words)
        yield browser
        browser.close()
