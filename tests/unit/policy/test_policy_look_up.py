"""Looking up a lost call: what is asked, what fits, and what a thing says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.expressions.nodes import Json
from orchestrator.policy.look_up import (
    FIRST_LOOK,
    LOOK_CAP,
    MAX_LOOKS,
    Sent,
    answer,
    candidates,
    fields_of,
    next_look_ms,
    question,
    subject,
)
from orchestrator.policy.outcomes import effect
from orchestrator.policy.profiles import LookUp
from orchestrator.wiring import load_profiles

NOW = 1_800_000_000_000
FIRST = NOW - 120_000


def entry(provider: str, path: str) -> LookUp:
    found = load_profiles()[provider].look_up("POST", path)
    assert found is not None
    return found


TEXTS = "/2010-04-01/Accounts/AC1/Messages.json"
TEXT = entry("twilio", TEXTS)
CREATE = entry("stripe", "/v1/payment_intents")
CONFIRM = entry("stripe", "/v1/payment_intents/pi_1/confirm")
CONNECT = entry("fintecture", "/pis/v2/connect")
WORDS: dict[str, Json] = {"To": "+15558675310", "From": "+15005550006", "Body": "Thank you"}


def sent(path: str = TEXTS, fields: dict[str, Json] | None = None, **more: Any) -> Sent:
    given = WORDS if fields is None else fields
    return Sent(method="POST", path=path, fields=given, first_ms=FIRST, **more)


def message(
    sid: str = "SM1", *, made: str = "Fri, 15 Jan 2027 07:58:05 +0000", **more: Json
) -> Json:
    return {
        "sid": sid, "to": "+15558675310", "from": "+15005550006", "body": "Thank you",
        "date_created": made, **more,
    }  # fmt: skip


def listed(*messages: Json) -> Json:
    return {"messages": list(messages)}


def intent(status: str, **more: Json) -> Json:
    return {
        "object": "payment_intent", "id": "pi_1", "status": status, "amount": 2000,
        "currency": "usd", "created": FIRST // 1000 + 1, "last_payment_error": None,
        "metadata": {"order": "1042", "more": "x"}, **more,
    }  # fmt: skip


def test_a_form_and_json_give_their_fields() -> None:
    assert fields_of(b"To=%2B1&metadata%5Border%5D=7&a=", "application/x-www-form-urlencoded") == {
        "To": "+1", "metadata": {"order": "7"}, "a": "",
    }  # fmt: skip
    assert fields_of(b'{"a": {"b": 1}}', "application/json") == {"a": {"b": 1}}
    assert fields_of(b"[1]", "application/json") == fields_of(None, "") == {}
    assert fields_of(b"{", "application/json; charset=utf-8") == {}


def test_a_text_is_asked_for_by_who_and_whom() -> None:
    assert question(TEXT, sent()) == f"{TEXTS}?To=%2B15558675310&From=%2B15005550006&PageSize=1000"


def test_a_confirmation_is_asked_of_its_own_intent() -> None:
    path = "/v1/payment_intents/pi_1/confirm"
    assert question(CONFIRM, sent(path, {})) == "/v1/payment_intents/pi_1"


def test_a_charge_that_nothing_tells_from_another_is_not_searched_for() -> None:
    path = "/v1/payment_intents"
    assert question(CREATE, sent(path, {"amount": "2000", "currency": "usd"})) is None
    asked = question(CREATE, sent(path, {"amount": "2000", "metadata": {"order": "1042"}}))
    assert asked == f"{path}?limit=100&created%5Bgte%5D={(FIRST - 5_000) // 1000}"


def test_what_an_answer_has_named_is_asked_for_by_its_name() -> None:
    asked = question(CREATE, sent("/v1/payment_intents", {"amount": "1"}, subject="pi_9"))
    assert asked == "/v1/payment_intents/pi_9"


@pytest.mark.parametrize(
    "other",
    [
        message(to="+15558675311"),
        message(body="Thank you!"),
        message(body="thank you"),
        message(made="Fri, 15 Jan 2027 07:57:50 +0000"),
        message(made="no date"),
        message("../SM1"),
        {"sid": 5},
        "SM1",
        None,
    ],
)
def test_only_what_fits_in_every_field_and_was_made_since_is_a_candidate(other: Json) -> None:
    found = candidates(TEXT, sent(), listed(other, message("SM2")), NOW)
    assert [c.id for c in found] == ["SM2"]


def test_what_was_made_a_moment_ago_may_be_another_calls_and_is_none() -> None:
    fresh = message(made="Fri, 15 Jan 2027 07:59:30 +0000")
    assert candidates(TEXT, sent(), listed(fresh), NOW) == []
    assert [c.id for c in candidates(TEXT, sent(), listed(fresh), NOW + 60_000)] == ["SM1"]


def test_the_oldest_goes_first() -> None:
    late = message("SM2", made="Fri, 15 Jan 2027 07:58:40 +0000")
    found = candidates(TEXT, sent(), listed(late, message("SM1")), NOW)
    assert [c.id for c in found] == ["SM1", "SM2"]


@pytest.mark.parametrize("body", [None, [], {}, {"messages": {}}, {"messages": None}, "x"])
def test_an_answer_of_another_shape_has_no_candidates(body: Json) -> None:
    assert candidates(TEXT, sent(), body, NOW) == []


def test_a_charge_fits_by_what_was_sent_of_it() -> None:
    fields: dict[str, Json] = {"amount": "2000", "currency": "USD", "metadata": {"order": "1042"}}
    given = sent("/v1/payment_intents", fields)
    body: Json = {"data": [intent("succeeded"), intent("succeeded", metadata={"order": "7"})]}
    assert len(candidates(CREATE, given, body, NOW)) == 1


def transfer(**attributes: Json) -> Sent:
    given: dict[str, Json] = {"amount": "149.30", "currency": "EUR", "communication": "Order 1042"}
    body: dict[str, Json] = {"meta": {}, "data": {"type": "PIS", "attributes": given | attributes}}
    return sent("/pis/v2/connect", body)


def session(made: str = "2027-01-15T07:58:05Z", **attributes: Json) -> Json:
    shown: dict[str, Json] = {"amount": "149.30", "currency": "EUR", "communication": "Order 1042"}
    return {
        "meta": {"session_id": "5e55", "status": "provider_required"},
        "attributes": shown | attributes, "created_at": made,
    }  # fmt: skip


def test_a_payment_session_is_found_in_the_list_by_all_that_was_sent_of_it() -> None:
    assert question(CONNECT, transfer()) == "/pis/v2/payments"
    others: list[Json] = [
        session(amount="149.31"),
        session(currency="GBP"),
        session(communication="Order 1043"),
        session(communication=None),
        session(made="2027-01-15T07:57:50Z"),
        session(made="2027-01-15T07:59:30Z"),
        session(made=""),
        {"meta": {"session_id": "x"}},
    ]
    assert candidates(CONNECT, transfer(), {"data": others}, NOW) == []
    assert [c.id for c in candidates(CONNECT, transfer(), {"data": [session()]}, NOW)] == ["5e55"]


def test_a_field_that_was_sent_and_is_not_shown_is_not_found() -> None:
    given = transfer(end_to_end_id="e2e-1")
    assert candidates(CONNECT, given, {"data": [session()]}, NOW) == []
    assert len(candidates(CONNECT, given, {"data": [session(end_to_end_id="e2e-1")]}, NOW)) == 1


def test_a_session_without_words_of_its_own_is_not_searched_for() -> None:
    assert question(CONNECT, transfer(communication="")) is None
    assert question(CONNECT, sent("/pis/v2/connect", {})) is None


@pytest.mark.parametrize(
    ("was", "shown", "same"),
    [
        ("149.30", 149.3, True),
        (149.3, "149.30", True),
        (149, "149.00", True),
        ("149.30", "149.3", False),
        ("149.31", 149.3, False),
        ("NaN", 149.3, False),
        ("sNaN", 1, False),
        ("1", True, False),
    ],
)
def test_an_amount_is_the_same_as_a_text_and_as_a_number(
    was: Json, shown: Json, same: bool
) -> None:
    found = candidates(CONNECT, transfer(amount=was), {"data": [session(amount=shown)]}, NOW)
    assert bool(found) is same


def test_a_found_text_gives_the_answer_that_was_lost() -> None:
    [found] = candidates(TEXT, sent(), listed(message()), NOW)
    given = answer(TEXT, found)
    assert given is not None
    assert (given.status, given.body) == (201, message())


def test_an_intent_says_itself_what_became_of_its_confirmation() -> None:
    given = sent("/v1/payment_intents/pi_1/confirm", {})

    def told(body: Json) -> Any:
        [found] = candidates(CONFIRM, given, body, NOW)
        return answer(CONFIRM, found)

    assert told(intent("succeeded")).status == 200
    assert told(intent("requires_action")).status == 200
    assert told(intent("requires_confirmation")) is None, "it was never confirmed"
    assert told(intent("requires_payment_method")) is None
    error: Json = {"type": "card_error", "code": "card_declined"}
    declined = told(intent("requires_payment_method", last_payment_error=error))
    assert declined.status == 402
    assert declined.body["error"]["code"] == "card_declined"
    assert declined.body["error"]["payment_intent"]["id"] == "pi_1"


def test_the_subject_of_an_answer_is_known_from_a_refusal_as_well() -> None:
    assert subject(CREATE, intent("requires_action")) == "pi_1"
    assert subject(CREATE, {"error": {"payment_intent": intent("requires_action")}}) == "pi_1"
    assert subject(CREATE, {"error": {}}) == subject(CREATE, None) == ""


def test_looks_come_ever_more_seldom_and_end() -> None:
    waits = [next_look_ms(looks, 0.0) for looks in range(MAX_LOOKS + 1)]
    assert waits[0] == FIRST_LOOK
    assert waits == [*sorted(waits[:-1]), -1]
    assert waits[-2] == LOOK_CAP
    assert next_look_ms(0, 0.0, settle_ms=60_000) == 70_000
    assert next_look_ms(0, 0.99, settle_ms=60_000) < 1.25 * 70_000


@pytest.mark.parametrize(
    ("status", "received", "told"),
    [("succeeded", 1999, "charged pi_1 1999 usd"), ("requires_action", 0, "")],
)
def test_a_payment_that_is_found_is_told_with_its_amount(
    status: str, received: int, told: str
) -> None:
    body = intent(status, amount_received=received)
    paid = sent("/v1/payment_intents", {"amount": "2000", "metadata": {"order": "1042"}})
    listing: Json = {"data": [body]}
    for asked, look_up, found in ((paid, CREATE, listing), (sent(subject="pi_1"), CONFIRM, body)):
        path = "/v1/payment_intents" if look_up is CREATE else "/v1/payment_intents/pi_1/confirm"
        [candidate] = candidates(look_up, asked, found, NOW)
        lost = answer(look_up, candidate)
        assert lost is not None
        stripe = load_profiles()["stripe"]
        assert effect(stripe, method="POST", path=path, result=lost) == told
