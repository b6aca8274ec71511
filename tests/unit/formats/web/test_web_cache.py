"""What was fetched is kept by its digest, and what is not whole is as if it were not there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.formats.web.cache import Bounds, Kept, SourceCache
from orchestrator.formats.web.edition import Edition

URL = "https://a.example/x.yaml?token=secret"
NOW = 1_700_000_000_000
HOUR = 3_600_000


def kept(text: str, *, at: int = NOW, etag: str = "") -> Kept:
    return Kept(edition=Edition(data=text.encode(), etag=etag), checked=at)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "blobs").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "sources"


@pytest.fixture
def cache(folder: Path) -> SourceCache:
    return SourceCache(folder)


def test_what_was_kept_is_found_under_its_url_and_no_other(cache: SourceCache) -> None:
    edition = Edition(data="ü: 1".encode(), etag='W/"1"', modified="yesterday")
    cache.keep(URL, Kept(edition=edition, checked=NOW))
    assert cache.find(URL) == Kept(edition=edition, checked=NOW)
    assert cache.find(URL.replace("secret", "other")) is None


def test_the_folder_is_its_owners_and_holds_no_query(cache: SourceCache, folder: Path) -> None:
    previous = os.umask(0)
    try:
        cache.keep(URL, kept("text"))
    finally:
        os.umask(previous)
    blob, record = files(folder)
    assert blob == folder / "blobs" / hashlib.sha256(b"text").hexdigest()
    assert json.loads(record.read_text()) == {
        "url": "https://a.example/x.yaml",
        "digest": blob.name,
        "size": 4,
        "checked": NOW,
        "etag": "",
        "modified": "",
    }
    for path in (blob, record):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (folder.parent, folder, blob.parent, record.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _noise(path: Path) -> None:
    path.write_bytes(b"\xff\x00[")


def _nested(path: Path) -> None:
    path.write_bytes(b"[" * 10_000)


def _other_json(path: Path) -> None:
    path.write_text('{"url": 1}')


def _elsewhere(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "digest": "../../secret"}))


def _far_future(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "checked": 10**30}))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_cut, _noise, _folder, Path.unlink])
@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_file_is_as_if_nothing_had_been_kept(
    cache: SourceCache, folder: Path, damage: Callable[[Path], None], which: int
) -> None:
    cache.keep(URL, kept("text"))
    damage(files(folder)[which])
    assert cache.find(URL) is None


@pytest.mark.parametrize("damage", [_nested, _other_json, _elsewhere, _far_future])
def test_a_record_that_is_none_is_not_followed_and_goes(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    cache = SourceCache(folder, Bounds(count=1))
    cache.keep(URL, kept("text"))
    (folder.parent / "secret").write_text("text")
    damage(files(folder)[1])
    assert cache.find(URL) is None
    cache.keep("https://a.example/other", kept("new"))
    assert len(list((folder / "urls").iterdir())) == 1
    assert (folder.parent / "secret").read_text() == "text"


def test_the_oldest_go_when_there_are_too_many(folder: Path) -> None:
    cache = SourceCache(folder, Bounds(count=2))
    for number in range(4):
        cache.keep(f"https://a.example/{number}", kept(f"text {number}", at=NOW + number))
    found = [cache.find(f"https://a.example/{number}") is not None for number in range(4)]
    assert found == [False, False, True, True]
    assert len(files(folder)) == 4


def test_the_oldest_go_when_they_are_too_large_together(folder: Path) -> None:
    cache = SourceCache(folder, Bounds(size=25))
    for number in range(4):
        cache.keep(f"https://a.example/{number}", kept(f"{number}" * 10, at=NOW + number))
    found = [cache.find(f"https://a.example/{number}") is not None for number in range(4)]
    assert found == [False, False, True, True]
    assert size(folder) == 20


def test_a_text_of_two_urls_stays_while_one_of_them_does(folder: Path) -> None:
    cache = SourceCache(folder, Bounds(count=2))
    cache.keep("https://a.example/old", kept("text", at=NOW))
    cache.keep("https://a.example/same", kept("text", at=NOW + 1))
    cache.keep("https://a.example/other", kept("other", at=NOW + 2))
    assert cache.find("https://a.example/old") is None
    assert cache.find("https://a.example/same") == kept("text", at=NOW + 1)


def test_what_a_killed_process_left_goes_after_its_time(cache: SourceCache, folder: Path) -> None:
    cache.keep(URL, kept("text"))
    left = [folder / "blobs" / "x.tmp", folder / "urls" / "y.tmp", folder / "blobs" / ("0" * 64)]
    for age, expected in ((HOUR - 1_000, 3), (HOUR + 1_000, 0)):
        for path in left:
            path.write_bytes(b"half")
            os.utime(path, (seconds := (NOW - age) / 1000, seconds))
        cache.keep(URL, kept("text"))
        assert sum(path.exists() for path in left) == expected
    assert cache.find(URL) == kept("text")


def test_what_is_kept_stays_however_long_ago_it_was_written(
    cache: SourceCache, folder: Path
) -> None:
    cache.keep(URL, kept("text"))
    for path in files(folder):
        os.utime(path, (seconds := NOW / 1000, seconds))
    cache.keep("https://a.example/other", kept("other", at=NOW + 2 * HOUR))
    assert cache.find(URL) == kept("text")


def test_a_folder_that_cannot_be_written_keeps_nothing_and_refuses_nothing(folder: Path) -> None:
    folder.parent.write_text("a file where the home should be")
    cache = SourceCache(folder)
    cache.keep(URL, kept("text"))
    assert cache.find(URL) is None
