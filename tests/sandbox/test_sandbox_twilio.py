from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

import httpx
import pytest

from ops.sandbox.clock import ManualClock
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import (
    TWILIO_ACCOUNT_SID,
    TWILIO_API_KEY_SECRET,
    TWILIO_API_KEY_SID,
    TWILIO_AUTH_TOKEN,
    Settings,
    TwilioSettings,
)
from ops.sandbox.twilio.segments import segments

TEXT = {"To": "+15551230001", "From": "+15005550006", "Body": "Your payment was received."}
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, where the manual clock stands
MESSAGES = f"/2010-04-01/Accounts/{TWILIO_ACCOUNT_SID}/Messages.json"


def test_a_text_is_queued_and_looks_like_twilio(twilio: httpx.Client) -> None:
    answer = twilio.post(MESSAGES, data=TEXT)
    message = answer.json()
    assert answer.status_code == 201
    assert message["sid"].startswith("SM")
    assert len(message["sid"]) == 34
    assert message["account_sid"] == TWILIO_ACCOUNT_SID
    assert (message["to"], message["from"], message["body"]) == tuple(TEXT.values())
    assert (message["status"], message["direction"]) == ("queued", "outbound-api")
    assert (message["num_segments"], message["num_media"]) == ("1", "0")
    assert message["date_sent"] is None
    assert parsedate_to_datetime(message["date_created"]).timestamp() == NOON
    assert message["date_created"] == "Sat, 21 Nov 2026 12:00:00 +0000"
    assert message["uri"].endswith(f"/Messages/{message['sid']}.json")
    assert (message["error_code"], message["price"]) == (None, None)


def test_nothing_makes_a_text_idempotent(twilio: httpx.Client, sandbox: BackgroundSandbox) -> None:
    tokens = {"I-Twilio-Idempotency-Token": "t", "Idempotency-Key": "k"}
    sids = {twilio.post(MESSAGES, data=TEXT, headers=tokens).json()["sid"] for _ in range(2)}
    assert len(sids) == 2
    assert sandbox.ledger()["duplicates"] == {"charges": 0, "messages": 1}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": None}, 21604),
        ({"From": None}, 21603),
        ({"Body": None}, 21602),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550002"}, 21612),
        ({"To": "+15005550003"}, 21408),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"To": "15551230001"}, 21211),
        ({"To": " 15551230001"}, 21211),
        ({"To": "$inputs.toPhone"}, 21211),
        ({"From": " 15005550006"}, 21212),
        ({"From": "+15005550001"}, 21212),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+15005550008"}, 21611),
        ({"From": "+14155550123"}, 21606),
        ({"From": "$inputs.fromPhone"}, 21212),
        ({"To": "a friend"}, 21211),
        ({"To": "pigeon:+15551230001"}, 21211),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_code(
    twilio: httpx.Client, sandbox: BackgroundSandbox, change: dict[str, str | None], code: int
) -> None:
    form = {name: value for name, value in (TEXT | change).items() if value is not None}
    answer = twilio.post(MESSAGES, data=form)
    error = answer.json()
    assert answer.status_code == error["status"] == 400
    assert error["code"] == code
    assert error["message"]
    assert error["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert sandbox.ledger()["messages"] == []


def test_a_raw_plus_sign_is_lost_on_the_way(twilio: httpx.Client) -> None:
    answer = twilio.post(
        MESSAGES,
        content=b"To=+15551230001&From=%2B15005550006&Body=Hi",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["code"] == 21211
    assert answer.json()["message"] == "The 'To' number  15551230001 is not a valid phone number."


@pytest.mark.parametrize("sender", ["+15551230000", "+15559999999", "+15005550006"])
def test_owned_numbers_may_send(twilio: httpx.Client, sender: str) -> None:
    assert twilio.post(MESSAGES, data=TEXT | {"From": sender}).status_code == 201


def test_the_owned_numbers_can_be_set(
    twilio_of: Callable[[BackgroundSandbox], httpx.Client],
) -> None:
    settings = Settings(twilio=TwilioSettings(senders=("+14155550123",)))
    with BackgroundSandbox(settings) as sandbox, twilio_of(sandbox) as client:
        assert client.post(MESSAGES, data=TEXT | {"From": "+14155550123"}).status_code == 201
        assert client.post(MESSAGES, data=TEXT).json()["code"] == 21606


def test_json_is_refused(twilio: httpx.Client) -> None:
    answer = twilio.post(MESSAGES, json=TEXT)
    assert answer.status_code == answer.json()["status"] == 415


@pytest.mark.parametrize(
    ("auth", "status"),
    [
        (None, 401),
        ((TWILIO_ACCOUNT_SID, "wrong"), 401),
        (("AC" + "0" * 32, TWILIO_AUTH_TOKEN), 401),
        (("unknown", ""), 401),
        ((TWILIO_API_KEY_SID, TWILIO_API_KEY_SECRET), 201),
    ],
)
def test_wrong_credentials_are_refused(
    sandbox: BackgroundSandbox, auth: tuple[str, str] | None, status: int
) -> None:
    with httpx.Client(trust_env=False, auth=auth) as client:
        answer = client.post(f"{sandbox.url}/twilio{MESSAGES}", data=TEXT)
    assert answer.status_code == status
    if status == 401:
        assert answer.json() == {
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        }


@pytest.mark.parametrize("account", ["", "AC" + "0" * 32, "{AccountSid}"])
def test_another_account_or_none_is_not_found(twilio: httpx.Client, account: str) -> None:
    path = f"/2010-04-01/Accounts/{account}/Messages.json"
    answer = twilio.post(path, data=TEXT)
    assert answer.status_code == 404
    assert answer.json()["code"] == 20404
    assert answer.json()["message"] == f"The requested resource {path} was not found"


def test_a_text_is_sent_and_delivered_as_time_goes_by(
    twilio: httpx.Client, clock: ManualClock
) -> None:
    sid = twilio.post(MESSAGES, data=TEXT).json()["sid"]
    path = MESSAGES.replace(".json", f"/{sid}.json")

    def seen() -> tuple[str, str | None]:
        message = twilio.get(path).json()
        return message["status"], message["date_sent"]

    assert seen() == ("queued", None)
    clock.now += 1
    assert seen() == ("sent", "Sat, 21 Nov 2026 12:00:01 +0000")
    clock.now += 2
    assert seen() == ("delivered", "Sat, 21 Nov 2026 12:00:01 +0000")
    assert twilio.get(path.replace(sid, "SM0")).json()["code"] == 20404


def test_texts_are_listed_newest_first_by_number_and_date(
    twilio: httpx.Client, clock: ManualClock
) -> None:
    def send(to: str, sender: str = "+15005550006") -> str:
        sid: str = twilio.post(MESSAGES, data=TEXT | {"To": to, "From": sender}).json()["sid"]
        return sid

    def listed(**query: str | int) -> list[str]:
        answer = twilio.get(MESSAGES, params=query)
        assert answer.status_code == 200, answer.text
        return [message["sid"] for message in answer.json()["messages"]]

    first = send("+15551230001")
    clock.now += 24 * 3600
    second = send("+15551230002")
    third = send("+15551230001", "+15551230000")
    assert listed() == [third, second, first]
    assert listed(To="+15551230001") == [third, first]
    assert listed(To="+15551230001", From="+15005550006") == [first]
    assert listed(**{"To": "+15551230001", "DateSent>": "2026-11-22"}) == []
    clock.now += 10
    assert listed(**{"To": "+15551230001", "DateSent>": "2026-11-22"}) == [third]
    assert listed(**{"DateSent<": "2026-11-21"}) == [first]
    assert listed(DateSent="2026-11-21") == [first]
    assert listed(**{"DateSent>": "2026-11-22T12:00:02Z"}) == []
    assert twilio.get(MESSAGES, params={"DateSent>": "yesterday"}).status_code == 400
    assert twilio.get(MESSAGES, params={"PageSize": "1001"}).status_code == 400


def test_a_page_leads_to_the_next(twilio: httpx.Client) -> None:
    sids = [twilio.post(MESSAGES, data=TEXT | {"Body": str(n)}).json()["sid"] for n in range(3)]
    page = twilio.get(MESSAGES, params={"PageSize": 2, "To": TEXT["To"]}).json()
    assert [m["sid"] for m in page["messages"]] == [sids[2], sids[1]]
    rest = twilio.get(page["next_page_uri"]).json()
    assert [m["sid"] for m in rest["messages"]] == [sids[0]]
    assert (rest["page"], rest["next_page_uri"]) == (1, None)


def test_beyond_the_rate_comes_429(
    clock: ManualClock, twilio_of: Callable[[BackgroundSandbox], httpx.Client]
) -> None:
    settings = Settings(twilio=TwilioSettings(rate=1))
    with BackgroundSandbox(settings, clock=clock) as sandbox, twilio_of(sandbox) as client:
        assert client.post(MESSAGES, data=TEXT).status_code == 201
        limited = client.post(MESSAGES, data=TEXT)
        assert (limited.status_code, limited.json()["code"]) == (429, 20429)
        assert limited.headers["Twilio-Concurrent-Requests"] == "1"
        assert sandbox.summary()["messages"] == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("x" * 152 + "€" + "x" * 152, 3),
        ("\u2019" * 70, 1),
        ("\u2019" * 71, 2),
        ("\u2019" * 134, 2),
        ("\u2019" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("é à ñ Ω", 1),
    ],
)
def test_segments_are_counted_as_they_are_billed(text: str, count: int) -> None:
    assert segments(text) == count
