"""A provider that answers nonsense: an exit code and a code, never a traceback, never a re-send."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Shell
from tests.unit.workers.stub_server import answering, serving

pytestmark = pytest.mark.process

PAGE = b"<html><body>We will be right back, +15558675310</body></html>"


def answer(status: int, body: bytes, content_type: str) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("said", "code", "exit_code"),
    [
        (answer(200, PAGE, "text/html"), "not-json", 6),
        (answer(201, b'{"sid": "\xff"}', "application/json"), "undecodable", 6),
        (answer(201, b"[" * 100_000, "application/json"), "not-json", 6),
        (answer(201, b"0" * 11_000_000, "application/json"), "too-large", 6),
        (answer(502, PAGE, "text/html"), "http-502", 6),
        (answer(404, PAGE, "text/html"), "http-404", 1),
    ],
    ids=["html", "charset", "depth", "10-mb", "html-502", "html-404"],
)
def test_a_text_whose_answer_is_nonsense_is_sent_once_and_said(
    durazzo: Shell, said: bytes, code: str, exit_code: int
) -> None:
    """The charge before it was made: what became of the text decides, and is not guessed."""
    with serving(answering(said)) as twilio:
        order = durazzo.order()
        done = durazzo("run", *order, "--server", f"https://api.twilio.com={twilio.url}", "--json")
        assert twilio.connections == 1
    assert (done.code, done.json["error"]["code"]) == (exit_code, code)
    assert done.json["error"]["step"] == "send-confirmation"
    assert "Traceback" not in done.err
    assert "8675310" not in done.out + done.err
    assert durazzo.effects() == (1, 0)
