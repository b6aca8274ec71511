from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.redaction import _DIGITS, _PATTERNS, MASK, Redaction, _card, redact

SECRETS = [
    "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "sk_live_1",
    "rk_live_abc",
    "pk_test_TYooMQauvdEDq54NiTphI7jx",
    "whsec_abc123",
    "sk-ant-api03-abc",
    "Bearer eyJhbGciOi.J9-_x",
    "basic QUMxOnRva2Vu==",
    "+15005550006",
    "%2B15005550006",
    "+1 (500) 555-0006",
    "4242424242424242",
    "4242 4242 4242 4242",
    "4000-0000-0000-9995",
    "378282246310005",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_private_is_masked_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"a {secret} b", f'{{"x":"{secret}"}}', f"x={secret}&y=1", f"{secret}."):
        shown = redact(text)
        assert secret.rpartition(" ")[2] not in shown
        assert MASK in shown


READABLE = [
    "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "SM" + "0123456789abcdef" * 2,
    "SM4242424242424242aaaaaaaaaaaaaaaa",
    "AC" + "4" * 32,
    "req_4242424242424242",
    "dz_3f2a1b0c",
    "018f2b6e-7c1d-7a40-9f5e-2d6a3c4b5e6f",
    "2026-11-21T10:11:12.345678+00:00",
    "http-402 card_declined insufficient_funds",
    "1795000000000",
    "charge-and-sms-confirm/create-payment",
    "attempt 3 of 6 in 2000 ms",
]


@pytest.mark.parametrize("text", READABLE)
def test_ids_codes_and_times_stay_readable(text: str) -> None:
    assert redact(text) == text


def test_a_client_secret_keeps_the_id_that_it_begins_with() -> None:
    assert redact("pi_3Mtw_secret_YrKJUKribcBjcG8HVhfZluoGH") == f"pi_3Mtw_secret_{MASK}"


PRIVATE = [
    "authorization", "Authorization", "client_secret", "twilio-auth-token", "password", "apiKey",
    "x-api-key", "card", "card_number", "toPhone", "phone", "To", "from", "body", "Body", "inputs",
    "outputs", "email", "Set-Cookie", "Stripe-Signature", "cvc",
]  # fmt: skip


@pytest.mark.parametrize("name", PRIVATE)
def test_a_field_of_a_private_name_is_masked_whatever_it_holds(name: str) -> None:
    for value in ("x", 1, None, {"a": 1}, ["x"], b"x"):
        assert Redaction()(None, "info", {name: value}) == {name: MASK}


def test_the_words_of_an_attempt_stay_readable() -> None:
    event: dict[str, object] = {
        "event": "attempt.finished",
        "run": "r1",
        "step": "create-payment",
        "outcome": "unknown",
        "code": "timeout",
        "status": 200,
        "elapsed_ms": 12.5,
        "at_ms": 1_795_000_000_000,
        "late": False,
        "worker": None,
    }
    assert Redaction()(None, "info", dict(event)) == event


def test_structures_are_masked_all_the_way_down() -> None:
    shown = Redaction()(
        None,
        "info",
        {
            "request": {"headers": {"Authorization": "x"}, "url": "/?To=%2B15005550006"},
            "steps": [{"To": "+15005550006", "id": "SM1"}, ("+15005550006", 4242424242424242)],
            "+15005550006": "n",
            "seen": {"+15005550006"},
            "raw": b"+15005550006",
            "error": ValueError("no route to +15005550006"),
        },
    )
    assert "5005550006" not in str({k: v for k, v in shown.items() if not k.startswith("+")})
    assert "4242" not in str(shown)
    assert "SM1" in str(shown)


def test_a_learned_secret_is_masked_in_every_form_it_travels_in() -> None:
    secret = "0ddba11+feed/c0de"
    redaction = Redaction()
    redaction.learn(secret)
    coded = base64.b64encode(secret.encode()).decode()
    shown = redaction.text(f"{secret} {coded} {quote(secret, safe='')} {quote(secret)}")
    assert "0ddba11" not in shown
    assert coded.rstrip("=") not in shown


def test_a_secret_inside_another_is_no_reason_to_show_the_rest() -> None:
    redaction = Redaction()
    for secret in ("abcdef", "abcdefghijkl"):
        redaction.learn(secret)
    assert redaction.text("abcdefghijkl") == MASK


def test_a_secret_of_a_few_letters_does_not_mask_the_whole_log() -> None:
    redaction = Redaction()
    redaction.learn("step")
    assert redaction.text("step.finished") == "step.finished"


PIECES = st.sampled_from([
    "_secret_", "sk_live_", "rk_test_", "whsec_", "sk-ant-", "Bearer ", "ba\u017fic ",
    "BAS\u0131C ", "%2B", "+", "4242 4242", "-4242", "4242", "15005550006", "a1b2c3",
    "\u0664\u0662", " ", ".",
])  # fmt: skip


@example(["ba\u017fic ", "a1b2c3"])
@example(["BAS\u0131C ", "a1b2c3"])
@example(["BEARER ", "a1b2c3"])
@example(["%2b", "15005550006"])
@given(pieces=st.lists(PIECES, max_size=6))
def test_nothing_that_a_pattern_masks_is_passed_over_at_the_first_look(pieces: list[str]) -> None:
    text = "".join(pieces)
    masked = text
    for pattern, mask in _PATTERNS:
        masked = pattern.sub(mask, masked)
    assert redact(text) == _DIGITS.sub(_card, masked)


@pytest.mark.parametrize("number", [10**12, -(10**12), 4222222222222, 4242424242424242, 4.2e15])
def test_a_number_is_masked_as_its_digits_are(number: float) -> None:
    shown = Redaction()(None, "info", {"n": number})["n"]
    assert (shown == MASK) is (redact(str(number)) != str(number))


@given(number=st.integers(-(10**12) + 1, 10**12 - 1))
def test_a_number_shorter_than_a_cards_is_nothing_to_mask(number: int) -> None:
    assert redact(str(number)) == str(number)
    assert Redaction()(None, "info", {"n": number}) == {"n": number}


@given(text=st.text())
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)
