"""Only a file that ends is read as a document."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import DocumentRefused
from orchestrator.service.validate import read


def test_a_regular_file_and_a_link_to_one_are_read(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("a: 1")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "flow.yaml")
    assert read(tmp_path / "flow.yaml") == read(tmp_path / "link.yaml") == "a: 1"


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(DocumentRefused) as caught:
            read(file)
        assert [d.code for d in caught.value.diagnostics] == ["document-unreadable"]
