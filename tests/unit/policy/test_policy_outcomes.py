from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.policy.outcomes import (
    Answer,
    Kind,
    NoAnswer,
    Verdict,
    classify,
    effect,
    sanitised,
)
from orchestrator.policy.profiles import BodyTest, HeaderTest, Rule
from orchestrator.wiring import load_profiles
from tests.unit.policy.shipped import NAMES, profile

NOW_MS = 1_795_000_000_000


def answered(
    provider: str,
    status: int,
    body: Json | Missing = MISSING,
    *,
    method: str = "POST",
    keyed: bool | None = None,
    headers: dict[str, str] | None = None,
    problem: str = "",
) -> Verdict:
    known = profile(provider)
    return classify(
        known,
        method=method,
        keyed=known.keys(method) if keyed is None else keyed,
        result=Answer(status=status, headers=headers or {}, body=body, problem=problem),
        now_ms=NOW_MS,
    )


def stripe_error(**error: Json) -> Json:
    return {"error": error}


STRIPE_ERRORS = [
    (400, {"type": "invalid_request_error", "code": "parameter_missing"}, Kind.FINAL),
    (400, {"type": "invalid_request_error", "code": "parameter_unknown"}, Kind.FINAL),
    (400, {"type": "invalid_request_error", "code": "resource_missing"}, Kind.FINAL),
    (400, {"type": "idempotency_error"}, Kind.UNKNOWN),
    (400, {"code": "payment_intent_unexpected_state"}, Kind.PENDING),
    (401, {"type": "invalid_request_error"}, Kind.OPERATOR),
    (403, {"type": "invalid_request_error"}, Kind.OPERATOR),
    (402, {"type": "card_error", "code": "card_declined"}, Kind.FINAL),
    (404, {"code": "resource_missing"}, Kind.FINAL),
    (409, {"code": "idempotency_key_in_use"}, Kind.UNKNOWN),
    (424, {"type": "api_error"}, Kind.UNKNOWN),
    (429, {"code": "rate_limit"}, Kind.TRANSIENT),
    (429, {"type": "invalid_request_error", "code": "lock_timeout"}, Kind.TRANSIENT),
    (500, {"type": "api_error"}, Kind.UNKNOWN),
    (502, {}, Kind.UNKNOWN),
    (503, {}, Kind.UNKNOWN),
    (504, {}, Kind.UNKNOWN),
]


@pytest.mark.parametrize(("status", "error", "kind"), STRIPE_ERRORS)
def test_a_stripe_error_is_what_providers_md_2_5_says(
    status: int, error: dict[str, Json], kind: Kind
) -> None:
    verdict = answered("stripe", status, {"error": error})
    assert verdict.kind is kind
    assert verdict.code == (error.get("code") or error.get("type") or f"http-{status}")


TWILIO_ERRORS = [
    (401, 20003, Kind.OPERATOR),
    (404, 20404, Kind.FINAL),
    (429, 20429, Kind.TRANSIENT),
    (400, 21211, Kind.FINAL),
    (400, 21212, Kind.FINAL),
    (400, 21408, Kind.FINAL),
    (400, 21602, Kind.FINAL),
    (400, 21617, Kind.FINAL),
    (400, 21603, Kind.FINAL),
    (400, 21604, Kind.FINAL),
    (400, 21606, Kind.FINAL),
    (400, 21608, Kind.FINAL),
    (400, 21610, Kind.FINAL),
    (400, 21611, Kind.TRANSIENT),
    (400, 21612, Kind.FINAL),
    (400, 21614, Kind.FINAL),
    (400, 30002, Kind.OPERATOR),
    (400, 30034, Kind.OPERATOR),
    (500, 20500, Kind.UNKNOWN),
    (503, 20503, Kind.UNKNOWN),
]


@pytest.mark.parametrize(("status", "code", "kind"), TWILIO_ERRORS)
def test_a_twilio_error_is_what_providers_md_2_5_says(status: int, code: int, kind: Kind) -> None:
    verdict = answered("twilio", status, {"code": code, "message": "The 'To' number +1500…"})
    assert (verdict.kind, verdict.code) == (kind, str(code))


ANTHROPIC_ERRORS = [
    (400, {"type": "invalid_request_error"}, Kind.FINAL),
    (401, {"type": "authentication_error"}, Kind.OPERATOR),
    (402, {"type": "billing_error"}, Kind.OPERATOR),
    (403, {"type": "permission_error"}, Kind.OPERATOR),
    (404, {"type": "not_found_error"}, Kind.FINAL),
    (413, {"type": "request_too_large"}, Kind.FINAL),
    (408, {"type": "timeout_error"}, Kind.TRANSIENT),
    (409, {"type": "conflict_error"}, Kind.TRANSIENT),
    (429, {"type": "rate_limit_error"}, Kind.TRANSIENT),
    (500, {"type": "api_error"}, Kind.TRANSIENT),
    (529, {"type": "overloaded_error"}, Kind.TRANSIENT),
    (
        429,
        {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}},
        Kind.OPERATOR,
    ),
]


@pytest.mark.parametrize(("status", "error", "kind"), ANTHROPIC_ERRORS)
def test_an_anthropic_error_is_what_providers_md_2_5_says(
    status: int, error: dict[str, Json], kind: Kind
) -> None:
    assert answered("anthropic", status, {"type": "error", "error": error}).kind is kind


FINTECTURE_ERRORS = [
    (400, "bad_request", "mandatory_field_missing", Kind.FINAL),
    (401, "unauthorized", "invalid_token", Kind.FINAL),
    (401, "unauthorized", "invalid_app_id", Kind.OPERATOR),
    (403, "forbidden", "forbidden", Kind.OPERATOR),
    (404, "not_found", "not_found", Kind.FINAL),
    (429, "too_many_requests", "too_many_requests", Kind.TRANSIENT),
    (500, "internal", "internal", Kind.UNKNOWN),
    (503, "service_unavailable", "service_unavailable", Kind.UNKNOWN),
]


@pytest.mark.parametrize(("status", "code", "inner", "kind"), FINTECTURE_ERRORS)
def test_a_fintecture_error_is_what_providers_md_2_5_says(
    status: int, code: str, inner: str, kind: Kind
) -> None:
    body: Json = {"status": str(status), "code": code, "errors": [{"code": inner, "title": "x y"}]}
    verdict = answered("fintecture", status, body)
    assert (verdict.kind, verdict.code) == (kind, inner)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_call_that_was_not_sent_surely_did_nothing(name: str, method: str) -> None:
    result = NoAnswer(stage="not-sent", reason="connect-failed")
    verdict = classify(profile(name), method=method, keyed=False, result=result, now_ms=NOW_MS)
    assert (verdict.kind, verdict.code) == (Kind.TRANSIENT, "connect-failed")


@pytest.mark.parametrize("name", ["stripe", "twilio", "fintecture", "generic"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_post_whose_answer_was_lost_is_unknown_key_or_no_key(name: str, keyed: bool) -> None:
    result = NoAnswer(stage="sent", reason="timeout")
    verdict = classify(profile(name), method="post", keyed=keyed, result=result, now_ms=NOW_MS)
    assert (verdict.kind, verdict.code) == (Kind.UNKNOWN, "timeout")


@pytest.mark.parametrize("name", NAMES)
def test_a_read_whose_answer_was_lost_is_transient(name: str) -> None:
    result = NoAnswer(stage="sent", reason="reset")
    verdict = classify(profile(name), method="GET", keyed=False, result=result, now_ms=NOW_MS)
    assert verdict.kind is Kind.TRANSIENT


@given(status=st.integers(500, 599), name=st.sampled_from(["stripe", "twilio", "generic"]))
def test_no_5xx_of_a_post_is_ever_a_failure(status: int, name: str) -> None:
    assert answered(name, status).kind is Kind.UNKNOWN
    assert answered(name, status, method="GET").kind is Kind.TRANSIENT


@given(status=st.integers(100, 999), name=st.sampled_from(NAMES), body=st.booleans())
def test_a_status_that_nobody_knows_still_gets_a_verdict_with_a_code(
    status: int, name: str, body: bool
) -> None:
    verdict = answered(name, status, {"error": "a sentence of prose"} if body else MISSING)
    assert sanitised(verdict.code) == verdict.code != ""


def test_a_success_is_for_the_criteria() -> None:
    assert answered("stripe", 200, {"id": "pi_1", "status": "succeeded"}).kind is Kind.ANSWERED
    assert answered("twilio", 201, {"sid": "SM1", "status": "queued"}).kind is Kind.ANSWERED
    assert answered("generic", 204).kind is Kind.ANSWERED


@pytest.mark.parametrize("status", ["requires_action", "processing"])
def test_money_that_may_still_move_is_pending_when_it_was_asked_to_move(status: str) -> None:
    body: Json = {"object": "payment_intent", "status": status}
    verdict = answered("stripe", 200, body)
    assert (verdict.kind, verdict.code) == (Kind.PENDING, status)
    assert answered("stripe", 200, body, method="GET").kind is Kind.ANSWERED


@pytest.mark.parametrize("status", ["succeeded", "requires_payment_method", "requires_capture"])
def test_an_intent_at_rest_is_not_pending(status: str) -> None:
    body: Json = {"object": "payment_intent", "status": status}
    assert answered("stripe", 200, body).kind is Kind.ANSWERED


def test_another_object_in_progress_is_not_a_pending_payment() -> None:
    assert answered("stripe", 200, {"object": "payout", "status": "processing"}).kind is (
        Kind.ANSWERED
    )


def test_a_success_that_nobody_can_read_is_unknown_and_not_judged_as_failed() -> None:
    """A gateway's HTML page with status 200 says nothing about the charge."""
    assert answered("stripe", 200).kind is Kind.UNKNOWN
    assert answered("generic", 200, problem="not-json").kind is Kind.UNKNOWN
    assert answered("generic", 200, problem="not-json").code == "not-json"
    assert answered("stripe", 200, method="GET").kind is Kind.TRANSIENT


def test_a_decline_names_its_code_and_its_reason() -> None:
    body = stripe_error(
        type="card_error",
        code="card_declined",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
    )
    verdict = answered("stripe", 402, body, headers={"stripe-should-retry": "false"})
    assert (verdict.kind, verdict.code, verdict.detail) == (
        Kind.FINAL,
        "card_declined",
        "insufficient_funds",
    )
    assert verdict.stop


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    verdict = answered("generic", status)
    assert (verdict.kind, verdict.code) == (Kind.FINAL, "redirect-refused")


def test_a_see_other_answers_a_post_that_was_carried_out() -> None:
    assert answered("generic", 303).kind is Kind.UNKNOWN
    assert answered("generic", 303).code == "redirect-refused"


def test_a_request_timeout_may_have_come_after_the_request() -> None:
    assert answered("twilio", 408).kind is Kind.UNKNOWN


def test_a_key_used_with_other_bytes_stops_and_waits_for_a_person() -> None:
    verdict = answered("stripe", 400, stripe_error(type="idempotency_error"))
    assert verdict.kind is Kind.UNKNOWN
    assert verdict.stop


def test_the_provider_may_say_that_a_stored_500_will_not_change() -> None:
    verdict = answered("stripe", 500, headers={"stripe-should-retry": "false"})
    assert (verdict.kind, verdict.stop) == (Kind.UNKNOWN, True)


def test_a_refusal_that_is_not_the_last_word_is_sent_again_under_its_key() -> None:
    headers = {"stripe-should-retry": "true"}
    assert answered("stripe", 400, headers=headers).kind is Kind.UNKNOWN
    assert answered("stripe", 404, method="GET", headers=headers).kind is Kind.TRANSIENT
    assert answered("stripe", 400, keyed=False, headers=headers).kind is Kind.FINAL


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("2", 2000),
        ("0.5", 500),
        ("Wed, 18 Nov 2026 11:06:42 GMT", 2000),
        ("Wed, 18 Nov 2026 11:06:30 GMT", 0),
        ("Wed, 18 Nov 2026 11:06:42 -0000", 2000),
        ("86400", 300_000),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1e9", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_capped(value: str, wait: int | None) -> None:
    verdict = answered("twilio", 429, headers={"retry-after": value})
    assert verdict.retry_after_ms == wait


@given(value=st.text() | st.text("0123456789 :,+-GMTJanSat", max_size=40))
def test_no_header_of_a_provider_breaks_a_verdict(value: str) -> None:
    headers = {"retry-after": value, "retry-after-ms": value, "x-should-retry": value}
    wait = answered("anthropic", 429, headers=headers).retry_after_ms
    assert wait is None or 0 <= wait <= 300_000


def test_anthropics_wait_in_milliseconds_goes_first() -> None:
    headers = {"retry-after-ms": "1500", "retry-after": "9"}
    assert answered("anthropic", 529, headers=headers).retry_after_ms == 1500


def test_a_rule_can_ask_for_a_longer_wait_than_the_header() -> None:
    body = stripe_error(code="idempotency_key_in_use")
    assert answered("stripe", 409, body).retry_after_ms == 1000
    assert answered("stripe", 409, body, headers={"retry-after": "3"}).retry_after_ms == 3000


@pytest.mark.parametrize(
    "prose",
    [
        "Your card was declined.",
        "+15005550001",
        "15005550001",
        "4242424242424242",
        "x" * 65,
        "jane@example.com",
        "",
        True,
        None,
        1.5,
        ["card_declined"],
        4242424242424242,
    ],
)
def test_prose_and_numbers_of_people_are_no_codes(prose: Json) -> None:
    assert sanitised(prose) == ""
    verdict = answered("stripe", 402, stripe_error(code=prose, decline_code=prose))
    assert (verdict.code, verdict.detail) == ("http-402", "")


def test_an_error_that_is_a_text_does_not_confuse_the_pointers() -> None:
    assert answered("generic", 400, {"error": "invalid_grant"}).code == "invalid_grant"
    assert answered("stripe", 400, {"error": "0"}).code == "http-400"
    assert answered("stripe", 400, "a text").code == "http-400"


def test_the_first_rule_that_matches_decides() -> None:
    rules = (
        Rule(kind=Kind.PENDING, status=(418,), headers=(HeaderTest(name="x-tea"),)),
        Rule(kind=Kind.OPERATOR, status=("4xx",), body=(BodyTest(pointer="/n", one_of=(1,)),)),
        Rule(kind=Kind.TRANSIENT, keyed=True, code="own"),
        Rule(kind=Kind.TRANSIENT, stage="sent", methods=("PUT",)),
    )
    known = replace(profile("generic"), rules=rules)

    def kind(method: str, keyed: bool, result: Answer | NoAnswer) -> Verdict:
        return classify(known, method=method, keyed=keyed, result=result, now_ms=NOW_MS)

    tea = Answer(status=418, headers={"x-tea": ""}, body={"n": 1})
    assert kind("POST", True, tea).kind is Kind.PENDING
    assert kind("POST", True, replace(tea, headers={})).kind is Kind.OPERATOR
    assert kind("POST", False, replace(tea, headers={}, body={"n": True})).kind is Kind.FINAL
    assert kind("POST", True, replace(tea, headers={}, body={"n": 2})).code == "own"
    lost = NoAnswer(stage="sent", reason="timeout")
    assert kind("PUT", False, lost).kind is Kind.TRANSIENT
    assert kind("POST", True, lost).kind is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        ({"code": "card_declined", "decline_code": "lost_card"}, True),
        ({"code": "card_declined", "advice_code": "do_not_try_again"}, True),
        ({"code": "expired_card"}, True),
        ({"code": "card_declined", "decline_code": "generic_decline"}, False),
        ({"code": "card_declined", "decline_code": "insufficient_funds"}, False),
        ({"code": "processing_error", "decline_code": "processing_error"}, False),
    ],
)
def test_a_decline_lasts_when_the_same_card_can_only_be_declined_again(
    error: dict[str, Json], lasting: bool
) -> None:
    verdict = answered("stripe", 402, {"error": {"type": "card_error", **error}})
    assert (verdict.kind, verdict.lasting) == (Kind.FINAL, lasting)
    assert verdict.code == error["code"]


@pytest.mark.parametrize("reason", ["refusal", "max_tokens"])
def test_a_text_that_a_model_refused_or_cut_off_is_final_by_its_reason(reason: str) -> None:
    verdict = answered("anthropic", 200, {"content": [], "stop_reason": reason})
    assert (verdict.kind, verdict.code) == (Kind.FINAL, reason)
    whole = answered("anthropic", 200, {"content": [], "stop_reason": "end_turn"})
    assert whole.kind is Kind.ANSWERED


@pytest.mark.parametrize(
    ("name", "path", "status", "body", "found"),
    [
        ("stripe", "/v1/payment_intents", 200, {"id": "pi_1", "status": "succeeded"},
         "charged pi_1"),
        ("stripe", "/v1/payment_intents", 200, {"id": "pi_1", "status": "requires_action"}, ""),
        ("stripe", "/v1/payment_intents/pi_1/confirm", 200, {"id": "pi_1", "status": "succeeded"},
         "charged pi_1"),
        ("stripe", "/v1/payment_intents", 402, {"id": "pi_1", "status": "succeeded"}, ""),
        ("stripe", "/v1/payment_intents", 200,
         {"id": "pi_1", "status": "succeeded", "amount": 2500, "amount_received": 1999,
          "currency": "usd"},
         "charged pi_1 1999 usd"),
        ("stripe", "/v1/payment_intents/pi_1/capture", 200,
         {"id": "pi_1", "status": "succeeded", "amount": 2500, "amount_received": 500,
          "currency": "JPY"},
         "charged pi_1 500 jpy"),
        ("stripe", "/v1/refunds", 200, {"id": "re_1", "amount": 1999, "currency": "usd"},
         "refunded re_1 1999 usd"),
        ("stripe", "/v1/customers", 200, {"id": "cus_1"}, ""),
        ("twilio", "/2010-04-01/Accounts/AC1/Messages.json", 201, {"sid": "SM1"}, "texted SM1"),
        ("twilio", "/2010-04-01/Accounts/AC1/Messages.json", 201, {"sid": "no id, prose"}, ""),
        ("fintecture", "/pis/v2/connect", 200, {"meta": {"session_id": "5e55"}}, "opened 5e55"),
        ("generic", "/orders", 200, {"id": "o_1"}, ""),
    ],
)  # fmt: skip
def test_what_a_call_did_is_told_by_its_answer(
    name: str, path: str, status: int, body: Json, found: str
) -> None:
    answer = Answer(status=status, headers={}, body=body)
    assert effect(load_profiles()[name], method="post", path=path, result=answer) == found


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (0, "usd", "charged pi_1 0 usd"),
        (999_999_999_999_999, "idr", "charged pi_1 999999999999999 idr"),
        (4242_4242_4242_4242, "usd", "charged pi_1"),
        (-1, "usd", "charged pi_1"),
        ("1999", "usd", "charged pi_1"),
        (19.99, "usd", "charged pi_1"),
        (True, "usd", "charged pi_1"),
        (None, "usd", "charged pi_1"),
        ([1999], "usd", "charged pi_1"),
        (1999, "", "charged pi_1"),
        (1999, "us", "charged pi_1"),
        (1999, "usd;texted SM1", "charged pi_1"),
        (1999, "€€€", "charged pi_1"),
        (1999, 840, "charged pi_1"),
        (1999, None, "charged pi_1"),
    ],
)
def test_an_amount_that_cannot_be_one_is_left_out_and_the_effect_told(
    amount: Json, currency: Json, told: str
) -> None:
    body: Json = {
        "id": "pi_1", "status": "succeeded", "amount_received": amount, "currency": currency,
    }  # fmt: skip
    answer = Answer(status=200, headers={}, body=body)
    stripe = load_profiles()["stripe"]
    assert effect(stripe, method="POST", path="/v1/payment_intents", result=answer) == told
