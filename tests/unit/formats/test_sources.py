"""Where source descriptions come from, and where they do not."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.formats.load import (
    FileSources,
    SourceText,
    SourceUnresolved,
    bundled,
    specs_folder,
)
from orchestrator.formats.sources import MAX_BYTES
from tests.unit.formats.loading import SHOP, arazzo, codes, loaded, refused


def test_what_was_given_by_name_wins_over_what_is_shipped_and_that_over_the_folder(
    tmp_path: Path,
) -> None:
    for name in ("given", "shipped", "x.yaml"):
        (tmp_path / name).write_text(name)
    shipped = {"x.yaml": tmp_path / "shipped"}
    everything = FileSources(given={"n": tmp_path / "given"}, shipped=shipped, folder=tmp_path)
    assert everything.read("n", "x.yaml").text == "given"
    assert everything.read("other", "x.yaml").text == "shipped"
    assert FileSources(folder=tmp_path).read("n", "x.yaml").text == "x.yaml"


@pytest.mark.parametrize(
    "url",
    [
        "../secret.yaml",
        "/etc/passwd",
        "//etc/passwd",
        "file:/etc/passwd",
        "file:///etc/passwd",
        "sub/../../secret.yaml",
        "%2e%2e/secret.yaml",
        "link.yaml",
        "up/secret.yaml",
        "nowhere.yaml",
        "sub",
    ],
)
def test_a_document_reads_nothing_outside_of_its_folder(tmp_path: Path, url: str) -> None:
    (tmp_path / "secret.yaml").write_text("x")
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "up").symlink_to(tmp_path)
    with pytest.raises(SourceUnresolved) as caught:
        FileSources(folder=folder).read("n", url)
    assert "--source n=FILE" in caught.value.message


@pytest.mark.parametrize("url", ["x\x00.yaml", "https://x.example/\x1b[2J", "\udcff", "x" * 9_000])
def test_a_url_that_is_none_is_refused_and_steers_no_terminal(tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceUnresolved) as caught:
        FileSources(folder=tmp_path, web=Web()).read("n", url)
    assert "--source n=FILE" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("x.yaml")
    with pytest.raises(SourceUnresolved):
        FileSources(folder=tmp_path).read("n", "x.yaml")


@dataclass
class Web:
    """Has every page; its text is its URL."""

    asked: list[str] = field(default_factory=list)

    def read(self, name: str, url: str) -> SourceText:
        self.asked.append(name)
        return SourceText(text=url, file=url)


@pytest.mark.parametrize(
    "url", ["https://x.example/a.yaml", "http://x.example/a.yaml", "HTTPS://x.example/a.yaml"]
)
def test_the_web_is_asked_last(tmp_path: Path, url: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("from a file")
    web = Web()
    sources = FileSources(given={"n": file}, folder=tmp_path, web=web)
    assert sources.read("n", url).text == "from a file"
    assert FileSources(shipped={url: file}, web=web).read("m", url).text == "from a file"
    assert sources.read("m", url).text == url
    assert web.asked == ["m"]


@pytest.mark.parametrize(
    "url", ["a.yaml", "nowhere.yaml", "../a.yaml", "/etc/passwd", "//x.example/a.yaml",
            "file:///etc/passwd", "ftp://x.example/a.yaml", "c:/a.yaml"],
)  # fmt: skip
def test_a_url_without_http_is_never_the_webs(tmp_path: Path, url: str) -> None:
    (tmp_path / "a.yaml").write_text("from the folder")
    web = Web()
    with suppress(SourceUnresolved):
        assert FileSources(folder=tmp_path, web=web).read("n", url).text == "from the folder"
    assert web.asked == []


@pytest.mark.parametrize("url", ["https://me:secret@x.example/a.yaml?secret", "file:///etc/passwd"])
def test_without_the_web_nothing_is_fetched_and_the_message_says_what_to_do(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(SourceUnresolved) as caught:
        FileSources(folder=tmp_path).read("n", url)
    assert "--source n=FILE" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_source_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("large", "binary"):
        with pytest.raises(SourceUnresolved):
            FileSources(folder=tmp_path).read("n", name)


def test_a_text_from_a_string_has_no_folder() -> None:
    with pytest.raises(SourceUnresolved):
        FileSources().read("n", "x.yaml")


def test_every_file_of_the_shipped_map_is_there() -> None:
    shipped = bundled(specs_folder())
    assert len(shipped) == 4
    assert all(path.is_file() for path in shipped.values())


def test_a_file_for_no_source_description_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP)
    document = arazzo("      - {stepId: a, operationId: createOrder}")
    shop, other = {"shop": tmp_path / "shop.yaml"}, {"shp": tmp_path / "shop.yaml"}
    assert loaded(document, sources=FileSources(given=shop)).diagnostics == ()
    [found] = refused(document, sources=FileSources(given=shop | other))
    assert (found.code, "did you mean 'shop'?" in found.message) == ("source-unknown", True)
    osop = "{osop_version: '1.0', id: x, nodes: [{id: a, type: api, runtime: {method: GET, url: 'https://a.b'}}], edges: []}"  # noqa: E501
    assert codes(refused(osop, sources=FileSources(given=shop))) == ["source-unknown"]


def test_a_source_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceUnresolved):
        FileSources(given={"shop": tmp_path / "pipe"}).read("shop", "x.yaml")
