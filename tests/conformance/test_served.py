"""Published documents whose descriptions come from a web server, dangling as they are."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from orchestrator.formats.load import FileSources, bundled, specs_folder
from orchestrator.formats.web.cache import SourceCache
from orchestrator.formats.web.resolve import WebSources
from tests.conformance.test_published import PUBLISHED_SOURCES
from tests.fakes.clock import ManualClock
from tests.unit.formats.loading import (
    arazzo,
    codes,
    loaded,
    published,
    refused,
    shipped_sources,
)
from tests.unit.formats.web.site import Site, fetcher, open_site

#: By the names that they were published under.
SHIPPED: Mapping[str, Path] = {
    url.rpartition("/")[2]: file for url, file in bundled(specs_folder()).items()
}
DANGLING = {
    "post": {
        "operationId": "dangling",
        "parameters": [{"$ref": "#/components/parameters/nowhere"}],
        "requestBody": {"$ref": "#/components/requestBodies/nowhere"},
    },
    "$ref": "#/components/pathItems/nowhere",
}


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def over(site: Site, folder: Path) -> FileSources:
    """Nothing is shipped and nothing is given: all comes from the site."""
    web = WebSources(fetcher=fetcher(site.host), cache=SourceCache(folder), clock=ManualClock())
    return FileSources(folder=folder, web=web)


def moved(document: str, site: Site) -> str:
    """With its descriptions at the site, under the names that they have."""
    return re.sub(r"\S+/(openapi/\S+\.yml)", rf"{site.url}/\1", document)


def dangling(description: str) -> str:
    root = yaml.safe_load(description)
    root["paths"]["/dangling"] = DANGLING
    return json.dumps(root)


@pytest.mark.parametrize("name", PUBLISHED_SOURCES)
def test_served_descriptions_link_to_the_same_plan(site: Site, tmp_path: Path, name: str) -> None:
    for file in PUBLISHED_SOURCES[name].values():
        site.put(f"/openapi/{file}", dangling(SHIPPED[file].read_text()))
    document = moved(published(name), site)
    expected = loaded(published(name), sources=shipped_sources())
    for _ in ("fetched", "kept"):
        found = loaded(document, sources=over(site, tmp_path))
        assert found.plan == expected.plan
        assert codes(found.diagnostics) == codes(expected.diagnostics)
    files = sorted(PUBLISHED_SOURCES[name].values())
    assert sorted(site.asked) == [f"/openapi/{file}" for file in files]


def test_a_reference_that_dangles_is_told_to_whom_it_concerns(site: Site, tmp_path: Path) -> None:
    name = "fintecture-oauth-api-openapi.yml"
    site.put(f"/openapi/{name}", dangling(SHIPPED[name].read_text()))
    steps = """
      - stepId: s
        operationId: dangling
"""
    document = arazzo(steps).replace("shop.yaml", f"{site.url}/openapi/{name}")
    assert codes(refused(document, sources=over(site, tmp_path))) == ["openapi-dangling-ref"]


@pytest.mark.parametrize("name", PUBLISHED_SOURCES)
def test_the_published_descriptions_served_link_to_the_same_plan(
    site: Site, tmp_path: Path, name: str
) -> None:
    folder = os.environ.get("DURAZZO_PUBLISHED_OPENAPI")
    if not folder:
        pytest.skip("DURAZZO_PUBLISHED_OPENAPI names no folder")
    for file in PUBLISHED_SOURCES[name].values():
        site.put(f"/openapi/{file}", (Path(folder) / file).read_text())
    found = loaded(moved(published(name), site), sources=over(site, tmp_path))
    assert found.plan == loaded(published(name), sources=shipped_sources()).plan
    assert {d.severity for d in found.diagnostics} == {"warning"}
