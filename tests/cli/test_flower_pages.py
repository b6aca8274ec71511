"""The pages of runs on Flower's server, without a Flower: what they say, and what they never do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flower.urls import handlers as of_flower
from flower.urls import settings
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from ops.flower.pages import Dressed, handlers
from ops.flower.views import RunRow, RunsView, RunView, StepRow, Table
from orchestrator.errors import JournalUnavailable, NewerRelease, UnknownRun

MARKUP = "<img src=x onerror=alert(1)>\"'"


@dataclass(frozen=True, slots=True)
class Told:
    """Views that say what they are told to, or raise it."""

    said: RunView | RunsView | Exception

    def run(self, _run: str) -> Any:
        return self.runs()

    def runs(self) -> Any:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def got(path: str, said: RunView | RunsView | Exception) -> httpx.Response:
    async def get() -> httpx.Response:
        app: Any = Application(
            of_flower, template_loader=Dressed(settings["template_path"]), **settings
        )
        app.options = SimpleNamespace(basic_auth=None, auth=None, url_prefix="", debug=False)
        app.add_handlers(r".*", handlers(Told(said)))
        socket, port = bind_unused_port()
        server = HTTPServer(app)
        server.add_socket(socket)
        async with httpx.AsyncClient(trust_env=False) as client:
            found = await client.get(f"http://127.0.0.1:{port}{path}")
        server.stop()
        await server.close_all_connections()
        return found

    return asyncio.run(get())


RUN = RunView(
    run=MARKUP, workflow=MARKUP, state=MARKUP, since=MARKUP, head=[MARKUP], advice=[MARKUP],
    commands=[MARKUP], effects=[MARKUP], story=[MARKUP],
    steps=[StepRow(step=MARKUP, state=MARKUP, visits=1, calls=1, status=0, code=MARKUP)],
)  # fmt: skip
ROW = RunRow(
    run=MARKUP, workflow=MARKUP, code=MARKUP, steps=MARKUP, age=MARKUP, stands=MARKUP
)  # fmt: skip
RUNS = RunsView(
    stops=[MARKUP], lanes=[(MARKUP, MARKUP, 1)], looked_at=MARKUP,
    tables=[Table(title=MARKUP, advice=MARKUP, rows=[ROW], found=1)],
)  # fmt: skip


@pytest.mark.parametrize(("path", "said"), [("/run/x", RUN), ("/runs", RUNS)])
def test_whatever_is_told_of_a_run_stays_text(path: str, said: RunView | RunsView) -> None:
    answer = got(path, said)
    assert answer.status_code == 200
    assert "onerror" in answer.text
    assert "<img src=x" not in answer.text
    assert "\"'" not in answer.text.partition("<main")[2].replace("&quot;", "")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UnknownRun(f"no run {MARKUP}"), 404, "no run &lt;img"),
        (NewerRelease("update this process"), 409, "update this process"),
        (JournalUnavailable("Redis is away"), 503, "Redis is away"),
        (RuntimeError("of somebody's"), 500, "which is a bug"),
    ],
)
def test_what_cannot_be_shown_says_why(error: Exception, status: int, told: str) -> None:
    answer = got("/run/x", error)
    assert answer.status_code == status
    assert told in answer.text
    assert "Traceback" not in answer.text
    assert "somebody" not in answer.text


def test_our_pages_run_no_script_but_flowers_own_and_stand_in_no_frame() -> None:
    headers = got("/runs", RUNS).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == (
        "nosniff", "no-referrer",
    )  # fmt: skip
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/durazzo/../pages.py", "/durazzo/..%2Fpages.py", "/durazzo/x", "/run/", "/run/a/b"]
)
def test_no_other_file_is_served(path: str) -> None:
    assert got(path, RUN).status_code == 404


@pytest.mark.parametrize("name", ["pages.css", "run-links.js"])
def test_our_script_and_style_are_served(name: str) -> None:
    assert got(f"/durazzo/{name}", RUN).status_code == 200
