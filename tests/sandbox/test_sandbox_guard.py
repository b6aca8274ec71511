"""Who may see the ledger: whoever is on this machine, or who has the token."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ops.cli.main import invoke
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import Settings

TOKEN = "a-token-that-nobody-guesses"
OWN = [
    ("GET", "/ledger"), ("GET", "/ledger/summary"), ("GET", "/faults"), ("POST", "/faults"),
    ("DELETE", "/faults"), ("GET", "/clock"), ("POST", "/clock"), ("POST", "/reset"),
    ("GET", "/nowhere"),
]  # fmt: skip


@pytest.fixture
def guarded() -> Iterator[BackgroundSandbox]:
    with BackgroundSandbox(Settings(control_token=TOKEN)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("method", "path"), OWN)
@pytest.mark.parametrize(
    "authorization", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer Ärger"]
)
def test_a_stranger_sees_and_does_nothing(
    guarded: BackgroundSandbox, method: str, path: str, authorization: str
) -> None:
    headers = [(b"Authorization", authorization.encode())] if authorization else []
    answer = httpx.request(method, f"{guarded.url}{path}", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert not answer.text


def test_who_has_the_token_sees_the_ledger(guarded: BackgroundSandbox) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"{guarded.url}/ledger", headers=headers, trust_env=False)
    assert answer.json()["charges"] == []


def test_that_it_lives_is_no_secret(guarded: BackgroundSandbox) -> None:
    for path in ("/", "/healthz"):
        assert httpx.get(f"{guarded.url}{path}", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:80", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 401),
     ("127.0.0.1.evil.example", 401), ("[::1", 401)],
)  # fmt: skip
def test_without_a_token_it_is_for_this_machines_own_addresses(
    sandbox: BackgroundSandbox, host: str, status: int
) -> None:
    answer = httpx.get(f"{sandbox.url}/ledger", headers={"Host": host}, trust_env=False)
    assert answer.status_code == status


@pytest.mark.parametrize("words", [["--host", "0.0.0.0"], ["--host", "::"]])
def test_it_is_not_shown_to_others_without_a_token(words: list[str]) -> None:
    assert invoke(["sandbox", *words]) == 2


@pytest.mark.parametrize("token", ["short", "with a space in it", "ä" * 20])
def test_a_token_that_is_none_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_SANDBOX_TOKEN", token)
    assert invoke(["sandbox"]) == 2
