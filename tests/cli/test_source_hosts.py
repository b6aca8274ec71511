"""Source descriptions from the web, as a person meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cli.main import invoke
from tests.unit.formats.loading import SHOP, arazzo
from tests.unit.formats.web.site import Site, open_site

STEPS = """
      - stepId: order
        operationId: createOrder
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        opened.put("/shop.yaml", SHOP)
        yield opened


@pytest.fixture
def document(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DURAZZO_SOURCE_HOSTS", raising=False)
    file = tmp_path / "flow.yaml"
    file.write_text(arazzo(STEPS).replace("shop.yaml", f"{site.url}/shop.yaml"))
    return file


def test_nothing_is_fetched_until_the_host_is_listed(
    document: Path,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["validate", str(document)]) == 3
    said = capsys.readouterr().err
    assert f"error source-unresolved: {site.url}/shop.yaml: " in said
    assert f"--source shop=FILE, or set DURAZZO_SOURCE_HOSTS={site.host}" in said
    assert site.asked == []
    assert not (tmp_path / "home").exists()

    monkeypatch.setenv("DURAZZO_SOURCE_HOSTS", site.host)
    for _ in ("fetched", "kept"):
        assert invoke(["validate", str(document)]) == 0
    assert site.asked == ["/shop.yaml"]
    assert sorted(path.name for path in (tmp_path / "home" / "sources").iterdir()) == [
        "blobs",
        "urls",
    ]


def test_every_failure_is_a_diagnostic_with_its_place(
    document: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DURAZZO_SOURCE_HOSTS", site.host)
    site.close()
    assert invoke(["validate", str(document), "--json"]) == 3
    (found,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert (found["code"], found["severity"]) == ("source-unreachable", "error")
    assert (found["line"], found["pointer"]) == (4, "/sourceDescriptions/0/url")


def test_a_list_that_is_none_is_a_wrong_setting(
    document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURAZZO_SOURCE_HOSTS", "https://docs.example/specs")
    assert invoke(["validate", str(document)]) == 2
    assert "settings-refused: DURAZZO_SOURCE_HOSTS must be host names" in capsys.readouterr().err
