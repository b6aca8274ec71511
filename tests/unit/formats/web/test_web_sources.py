"""Source descriptions by URL: fresh for a day, asked for again, old and said to be old."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.formats.sources import SourceText, SourceUnreachable, SourceUnresolved
from orchestrator.formats.web import WebSources
from orchestrator.formats.web.cache import Kept, SourceCache
from orchestrator.formats.web.edition import Edition
from tests.fakes.clock import ManualClock
from tests.unit.formats.loading import SHOP, arazzo, codes, loaded, refused
from tests.unit.formats.web.site import Site, fetcher, open_site, zipped
from tests.unit.workers.stub_server import response

DAY = 24 * 3_600_000
STEPS = """
      - stepId: s
        operationId: createOrder
"""


@dataclass(frozen=True)
class Desk:
    """A site, the sources that read it, and a clock between them."""

    site: Site
    folder: Path
    clock: ManualClock

    @property
    def url(self) -> str:
        return f"{self.site.url}/x.yaml"

    def sources(self) -> WebSources:
        """As each command has its own."""
        return WebSources(
            fetcher=fetcher(self.site.host, clock=self.clock),
            cache=SourceCache(self.folder),
            clock=self.clock,
        )

    def read(self, url: str | None = None) -> SourceText:
        return self.sources().read("shop", url or self.url)

    def blob(self) -> Path:
        (only,) = (self.folder / "blobs").iterdir()
        return only


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_site() as site:
        yield Desk(site, tmp_path / "sources", ManualClock())


def test_a_text_is_asked_for_once_a_day(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    assert desk.read() == SourceText(text="one", file=desk.url)
    desk.site.put("/x.yaml", "two")
    desk.clock.advance(DAY - 1)
    assert desk.read().text == "one"
    assert desk.site.asked == ["/x.yaml"]
    desk.clock.advance(1)
    assert desk.read() == SourceText(text="two", file=desk.url)


def test_a_text_that_did_not_change_is_not_sent_again_and_is_fresh_for_another_day(
    desk: Desk,
) -> None:
    desk.site.put("/x.yaml", "one", ETag='"1"')
    desk.read()
    desk.clock.advance(DAY)
    assert desk.read() == SourceText(text="one", file=desk.url)
    desk.clock.advance(DAY - 1)
    desk.read()
    assert [b"If-None-Match" in request for request in desk.site.requests] == [False, True]


@pytest.mark.parametrize(
    "page", ["<!DOCTYPE html><title>Log in</title>", "\ufeff\n  <html>", "<?xml version='1.0'?>"]
)
def test_a_page_that_wants_a_login_is_refused_and_not_kept(desk: Desk, page: str) -> None:
    """Its status is 200: it would stand for the description for a day."""
    desk.site.put("/x.yaml", page)
    with pytest.raises(SourceUnresolved) as caught:
        desk.read()
    assert "maybe a web page that wants a login; give it with --source shop=FILE" in str(
        caught.value
    )
    desk.site.put("/x.yaml", "one")
    assert desk.read().text == "one"


def test_a_page_that_was_kept_is_asked_for_again(desk: Desk) -> None:
    """Releases before this one kept everything."""
    kept = Kept(edition=Edition(data=b"<html>"), checked=desk.clock.unix_ms())
    SourceCache(desk.folder).keep(desk.url, kept)
    desk.site.put("/x.yaml", "one")
    assert desk.read().text == "one"


def test_a_clock_that_was_set_back_makes_nothing_fresh(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    desk.read()
    desk.clock.advance(-DAY)
    desk.read()
    assert len(desk.site.asked) == 2


def test_while_nobody_answers_the_old_text_is_used_and_said_to_be_old(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    desk.read()
    desk.clock.advance(DAY)
    desk.site.close()
    found = desk.read()
    assert found.text == "one"
    assert found.stale == (
        f"{desk.url}: no connection to 127.0.0.1; the copy of 2023-11-14 22:13 UTC is used"
    )


def test_a_host_in_trouble_is_asked_again_the_next_time(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    desk.read()
    desk.clock.advance(DAY)
    desk.site.send("/x.yaml", response(status="503 Unavailable"))
    assert "HTTP 503" in desk.read().stale
    desk.site.put("/x.yaml", "two")
    assert desk.read() == SourceText(text="two", file=desk.url)


def test_a_text_that_has_gone_is_not_replaced_by_the_old_one(desk: Desk) -> None:
    """Its publisher took it away: a person must say what stands for it now."""
    desk.site.put("/x.yaml", "one")
    desk.read()
    desk.clock.advance(DAY)
    del desk.site.pages["/x.yaml"]
    with pytest.raises(SourceUnresolved, match="HTTP 404; it may have moved"):
        desk.read()


def test_without_a_copy_a_host_that_does_not_answer_is_an_error(desk: Desk) -> None:
    desk.site.close()
    with pytest.raises(SourceUnreachable, match="--source shop=FILE"):
        desk.read()


def test_a_host_that_is_no_longer_listed_is_refused_though_its_text_is_kept(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    desk.read()
    unlisted = WebSources(fetcher=fetcher(), cache=SourceCache(desk.folder), clock=desk.clock)
    with pytest.raises(SourceUnresolved, match="may not fetch from"):
        unlisted.read("shop", desk.url)


def test_a_damaged_copy_is_fetched_anew_and_whole(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one", ETag='"1"')
    desk.read()
    desk.blob().write_text("two")
    assert desk.read() == SourceText(text="one", file=desk.url)
    assert b"If-None-Match" not in desk.site.requests[1]
    assert desk.blob().read_text() == "one"


@pytest.mark.parametrize("answer", [response(b"\xff\xfe"), response(b"a\x80"), zipped(b"\xff")])
def test_what_is_not_utf_8_is_refused_and_not_kept(desk: Desk, answer: bytes) -> None:
    desk.site.send("/x.yaml", answer)
    with pytest.raises(SourceUnresolved, match="it is not UTF-8"):
        desk.read()
    assert not desk.folder.exists()


def test_a_byte_order_mark_is_no_text(desk: Desk) -> None:
    desk.site.send("/x.yaml", zipped(b"\xef\xbb\xbfone"))
    assert desk.read().text == "one"


def test_a_url_is_one_text_whatever_its_fragment_and_another_with_its_query(desk: Desk) -> None:
    desk.site.put("/x.yaml", "one")
    desk.site.put("/x.yaml?token=secret", "two")
    assert desk.read().text == "one"
    assert desk.read(f"{desk.url}#part").text == "one"
    assert desk.read(f"{desk.url}?token=secret") == SourceText(text="two", file=desk.url)
    assert len(desk.site.asked) == 2
    everything = b"".join(path.read_bytes() for path in desk.folder.glob("*/*"))
    assert b"secret" not in everything


def test_readers_at_once_all_have_the_whole_text(desk: Desk) -> None:
    texts = {f"/{number}.yaml": f"{number}" * 100_000 for number in range(4)}
    for path, text in texts.items():
        desk.site.put(path, text)
    together = threading.Barrier(8)

    def read(path: str) -> bool:
        together.wait()
        return desk.read(desk.site.url + path).text == texts[path]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, [*texts, *texts]))
    asked = len(desk.site.asked)
    assert all(desk.read(desk.site.url + path).text == text for path, text in texts.items())
    assert len(desk.site.asked) == asked


def test_a_document_is_told_where_its_source_is_old_and_a_strict_reader_refuses(desk: Desk) -> None:
    text = arazzo(STEPS).replace("shop.yaml", desk.url)
    desk.site.put("/x.yaml", SHOP)
    assert codes(loaded(text, sources=desk.sources()).diagnostics) == []
    desk.clock.advance(DAY)
    desk.site.close()
    (told,) = loaded(text, sources=desk.sources()).diagnostics
    assert (told.code, told.severity, told.line) == ("source-stale", "warning", 4)
    assert "the copy of" in told.message
    assert codes(refused(text, sources=desk.sources(), strict=True)) == ["source-stale"]


def test_what_is_wrong_in_a_fetched_text_is_told_by_its_url(desk: Desk) -> None:
    desk.site.put("/x.yaml?token=secret", "openapi: [")
    text = arazzo(STEPS).replace("shop.yaml", f"{desk.url}?token=secret")
    (told,) = refused(text, sources=desk.sources())
    assert told.file == desk.url
    assert told.line > 0
