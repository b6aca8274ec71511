"""The page about batches, walked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cli.batch.export import COLUMNS
from ops.lab import CHECKOUT
from tests.docs import console

PAGE = CHECKOUT / "ops" / "docs" / "batches.md"


@pytest.mark.process
@pytest.mark.slow
def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    console.check(PAGE, tmp_path)


def test_every_column_of_an_export_is_explained() -> None:
    text = PAGE.read_text().partition("## The columns of an export")[2]
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []
