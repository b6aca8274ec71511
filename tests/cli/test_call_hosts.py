"""A document that leads to where no stranger's may: told before, refused when it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.cli.main import invoke
from tests.cli.conftest import Shell

FLOW = """
osop_version: "1.0"
id: look
name: Look
nodes:
  - id: ask
    type: api
    runtime: {url: "URL", endpoint: PATH, method: GET}
edges: []
"""


def flow(folder: Path, url: str, path: str = "/ledger") -> str:
    file = folder / "flow.osop.yaml"
    file.write_text(FLOW.replace("URL", url).replace("PATH", path))
    return str(file)


@pytest.mark.process
@pytest.mark.slow
def test_a_document_that_leads_inside_fails_without_a_call_and_says_what_to_do(
    durazzo: Shell, tmp_path: Path
) -> None:
    place = durazzo.sandbox.url.removeprefix("http://")
    file = flow(tmp_path, f"http://{place}", "/stripe/v1/customers")
    done = durazzo("run", file, DURAZZO_SERVERS="")
    assert done.code == 1, done.err
    assert f"warning server-private: calls go to {place}," in done.err
    assert "step ask failed: host-refused" in done.out + done.err
    assert durazzo.requests("/customers") == []
    shown = durazzo("show", "last", "--events")
    assert "host-refused" in shown.out
    assert "DURAZZO_CALL_HOSTS" in durazzo("explain", "host-refused").out

    allowed = durazzo("run", file, DURAZZO_SERVERS="", DURAZZO_CALL_HOSTS=place)
    assert "server-private" not in allowed.err
    assert len(durazzo.requests("/customers")) == 1


@pytest.mark.process
@pytest.mark.slow
def test_a_server_that_was_given_is_the_operators_word_for_whoever_carries_the_run_on(
    durazzo: Shell, tmp_path: Path
) -> None:
    """On the embedded server, whose worker is of another command than the one that accepted."""
    file = flow(tmp_path, "https://shop.example")
    started = durazzo(
        "start", file, "--server", f"https://shop.example={durazzo.sandbox.url}", DURAZZO_SERVERS=""
    )
    assert started.code == 0, started.err
    assert "server-private" not in started.err
    other = flow(tmp_path, "http://127.0.0.1:1")
    assert durazzo("run", other, DURAZZO_SERVERS="").code == 1
    shown = durazzo("show", started.out.strip())
    assert "succeeded" in shown.out


def test_a_dry_run_tells_and_strict_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("CALL_HOSTS", "SERVERS", "REDIS_URL"):
        monkeypatch.delenv(f"DURAZZO_{name}", raising=False)
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    file = flow(tmp_path, "http://169.254.169.254")
    assert invoke(["run", file, "--dry-run"]) == 0
    assert "server-private: calls go to 169.254.169.254:80" in capsys.readouterr().err
    assert invoke(["validate", file, "--strict"]) == 3
    capsys.readouterr()
    monkeypatch.setenv("DURAZZO_CALL_HOSTS", "169.254.169.254")
    assert invoke(["validate", file, "--strict"]) == 0


def test_a_server_that_is_given_for_workers_elsewhere_is_told_to_need_their_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DURAZZO_CALL_HOSTS", raising=False)
    monkeypatch.delenv("DURAZZO_SERVERS", raising=False)
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    file = flow(tmp_path, "https://shop.example")
    words = ["validate", file, "--server", "https://shop.example=http://127.0.0.1:8099"]
    assert invoke(words) == 0
    assert "server-private" not in capsys.readouterr().err
    monkeypatch.setenv("DURAZZO_REDIS_URL", "redis://redis.example:6379/0")
    assert invoke(words) == 0
    said = capsys.readouterr().err
    assert "calls go to 127.0.0.1:8099" in said
    assert "unless its DURAZZO_CALL_HOSTS lists it" in said
