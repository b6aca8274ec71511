from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox.anthropic.prompts import Prompt
from ops.sandbox.anthropic.receipts import NO_FACTS, REFUSED_WORD, WRITTEN_BY, tokens, written
from ops.sandbox.clock import ManualClock
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import AnthropicSettings, Settings

MESSAGES = "/v1/messages"
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, where the manual clock stands
FACTS = ["- create_customer.customer_id: cus_4711", "- check_status.status: succeeded"]
ASKED = "\n".join(["Write a receipt for the payment", "", "What is known:", *FACTS, ""])

Of = Callable[[BackgroundSandbox], httpx.Client]


def call(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 1024,
        "system": "Be concise.",
        "messages": [{"role": "user", "content": ASKED}],
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def said(content: object) -> dict[str, Any]:
    return call(messages=[{"role": "user", "content": content}])


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, type and message, once the frame is seen to be Anthropic's."""
    body = answer.json()
    assert body["type"] == "error"
    assert body["request_id"] == answer.headers["request-id"]
    assert body["request_id"].startswith("req_")
    return answer.status_code, body["error"]["type"], body["error"]["message"]


def prompt(asked: str, *, max_tokens: int = 10_000, system: str = "") -> Prompt:
    messages = (("user", asked),)
    return Prompt(model="claude-x", max_tokens=max_tokens, system=system, messages=messages)


def test_a_receipt_quotes_the_facts_and_says_who_wrote_it(anthropic: httpx.Client) -> None:
    answer = anthropic.post(MESSAGES, json=call())
    message = answer.json()
    assert answer.status_code == 200
    assert answer.headers["request-id"].startswith("req_")
    ((block,)) = message["content"]
    lines = block["text"].splitlines()
    assert lines == ["Subject: Write a receipt for the payment", WRITTEN_BY, "", *FACTS]
    assert block["type"] == "text"
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"]) == ("message", "assistant")
    assert message["model"] == "claude-sonnet-4-6"
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"] == {
        "input_tokens": tokens("Be concise." + ASKED),
        "output_tokens": tokens(block["text"]),
    }


@given(st.text())
def test_nothing_is_stated_that_the_prompt_does_not_state(asked: str) -> None:
    text = written(prompt(asked)).text
    known = {line.strip() for line in asked.splitlines()}
    for line in (text or "").splitlines():
        own = line in {WRITTEN_BY, NO_FACTS, ""}
        subject = any(k.startswith(line.removeprefix("Subject: ")) for k in known)
        assert own or line in known or (line.startswith("Subject: ") and subject)


@given(st.text(min_size=1), st.integers(1, 60))
def test_no_answer_is_longer_than_the_tokens_that_it_may_have(asked: str, most: int) -> None:
    whole = written(prompt(asked))
    part = written(prompt(asked, max_tokens=most))
    assert part.output_tokens <= most
    assert (part.text or "") == (whole.text or "")[: most * 4]
    cut = part.text != whole.text
    assert part.stop_reason == ("max_tokens" if cut else whole.stop_reason)


def test_an_answer_is_cut_where_its_tokens_end(anthropic: httpx.Client) -> None:
    whole = anthropic.post(MESSAGES, json=call()).json()["content"][0]["text"]
    message = anthropic.post(MESSAGES, json=call(max_tokens=5)).json()
    assert message["content"][0]["text"] == whole[:20]
    assert message["stop_reason"] == "max_tokens"
    assert message["usage"]["output_tokens"] == 5


def test_without_facts_that_is_said(anthropic: httpx.Client) -> None:
    text = anthropic.post(MESSAGES, json=said("Hello")).json()["content"][0]["text"]
    assert text.splitlines() == ["Subject: Hello", WRITTEN_BY, "", NO_FACTS]


@pytest.mark.parametrize("where", ["system", "messages"])
def test_the_magic_word_is_refused_with_200_and_nothing_written(
    anthropic: httpx.Client, sandbox: BackgroundSandbox, where: str
) -> None:
    word = f"please {REFUSED_WORD} now"
    body = call(system=word) if where == "system" else said(word)
    answer = anthropic.post(MESSAGES, json=body)
    message = answer.json()
    assert answer.status_code == 200
    assert (message["stop_reason"], message["content"]) == ("refusal", [])
    assert message["usage"]["output_tokens"] == 0
    assert sandbox.ledger()["generations"][0]["stop_reason"] == "refusal"


def test_the_first_page_names_the_magic_word(sandbox: BackgroundSandbox) -> None:
    assert REFUSED_WORD in httpx.get(sandbox.url, trust_env=False).text


def test_texts_may_come_in_blocks_and_the_last_word_is_the_users(anthropic: httpx.Client) -> None:
    blocks = [{"type": "text", "text": "Please"}, {"type": "text", "text": FACTS[0]}]
    messages = [
        {"role": "user", "content": "- an.older: fact"},
        {"role": "assistant", "content": "- my.own: invention"},
        {"role": "user", "content": blocks},
    ]
    body = call(messages=messages, system=[{"type": "text", "text": "Be kind."}])
    text = anthropic.post(MESSAGES, json=body).json()["content"][0]["text"]
    assert text.splitlines() == ["Subject: Please", WRITTEN_BY, "", FACTS[0]]


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({"x-api-key": ""}, 401, "authentication_error"),
        ({"x-api-key": "sk-ant-wrong"}, 401, "authentication_error"),
        ({"anthropic-version": ""}, 400, "invalid_request_error"),
        ({"anthropic-version": "latest"}, 400, "invalid_request_error"),
    ],
)
def test_key_and_version_are_required_and_checked(
    anthropic: httpx.Client,
    sandbox: BackgroundSandbox,
    headers: dict[str, str],
    status: int,
    kind: str,
) -> None:
    answer = anthropic.post(MESSAGES, json=call(), headers=headers)
    assert refused(answer)[:2] == (status, kind)
    assert sandbox.ledger()["generations"] == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages.0"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages.0.content.0"),
        ({"system": 7}, "system"),
        ({"temperature": 1.5}, "temperature"),
        ({"prompt": "x"}, "prompt"),
    ],
)
def test_what_is_wrong_with_a_call_is_named(
    anthropic: httpx.Client, sandbox: BackgroundSandbox, changes: dict[str, Any], where: str
) -> None:
    body = {k: v for k, v in (call() | changes).items() if v is not None}
    status, kind, message = refused(anthropic.post(MESSAGES, json=body))
    assert (status, kind) == (400, "invalid_request_error")
    assert message.startswith((f"{where}: ", f"{where}."))
    assert sandbox.ledger()["generations"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_no_body_makes_it_stumble(anthropic: httpx.Client, body: bytes) -> None:
    assert refused(anthropic.post(MESSAGES, content=body))[0] == 400


def test_half_a_character_makes_it_stumble_neither(anthropic: httpx.Client) -> None:
    body = rb'{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"\ud800"}]}'
    assert anthropic.post(MESSAGES, content=body).status_code == 200


def test_another_companys_model_is_not_found(anthropic: httpx.Client) -> None:
    answer = anthropic.post(MESSAGES, json=call(model="gpt-5"))
    assert refused(answer) == (404, "not_found_error", "model: gpt-5")


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_a_version_without_sampling_takes_none(anthropic: httpx.Client, name: str) -> None:
    body = call(**{name: 1})
    assert anthropic.post(MESSAGES, json=body).status_code == 200
    newer = anthropic.post(MESSAGES, json=body, headers={"anthropic-version": "2026-10-21"})
    assert refused(newer)[:2] == (400, "invalid_request_error")


def test_there_is_nothing_elsewhere(anthropic: httpx.Client) -> None:
    assert refused(anthropic.get(MESSAGES))[0] == 404
    assert refused(anthropic.post("/v1/nowhere", json=call()))[1] == "not_found_error"


def test_beyond_the_rate_comes_429_and_when_to_ask_again(
    anthropic_of: Of, clock: ManualClock
) -> None:
    settings = Settings(anthropic=AnthropicSettings(rate=1))
    with BackgroundSandbox(settings, clock=clock) as sandbox, anthropic_of(sandbox) as client:
        assert client.post(MESSAGES, json=call()).status_code == 200
        limited = client.post(MESSAGES, json=call())
        assert refused(limited)[:2] == (429, "rate_limit_error")
        assert limited.headers["retry-after"] == "1"
        clock.now += 1
        assert client.post(MESSAGES, json=call()).status_code == 200


@pytest.mark.parametrize(
    ("status", "kind"), [(529, "overloaded_error"), (500, "api_error"), (402, "billing_error")]
)
def test_scripted_trouble_is_said_in_anthropics_words(
    anthropic: httpx.Client, sandbox: BackgroundSandbox, status: int, kind: str
) -> None:
    sandbox.faults({"match": "POST /anthropic/*", "do": "status", "status": status})
    assert refused(anthropic.post(MESSAGES, json=call()))[:2] == (status, kind)
    assert sandbox.ledger()["generations"] == []


def test_what_is_too_long_is_refused(anthropic: httpx.Client) -> None:
    answer = anthropic.post(MESSAGES, json=said("x" * 1024**2))
    assert refused(answer)[:2] == (413, "request_too_large")


def test_a_repeat_writes_again_and_the_prompts_digest_tells_so(
    anthropic: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    bodies = [call(), call(max_tokens=5), call(system="Be long.")]
    names = [anthropic.post(MESSAGES, json=body).json()["id"] for body in bodies]
    first, second, third = sandbox.ledger()["generations"]
    assert [row["id"] for row in (first, second, third)] == names
    assert first == {
        "id": names[0],
        "model": "claude-sonnet-4-6",
        "stop_reason": "end_turn",
        "prompt_sha256": second["prompt_sha256"],
        "created": NOON,
    }
    assert second["stop_reason"] == "max_tokens"
    assert third["prompt_sha256"] != first["prompt_sha256"]
    assert sandbox.summary()["generations"] == 3
