from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ops.sandbox.clock import ManualClock
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import (
    FINTECTURE_APP_ID,
    FINTECTURE_APP_SECRET,
    FintectureSettings,
    Settings,
)

TOKENS = "/oauth/accesstoken"
CONNECT = "/pis/v2/connect"
PAYMENTS = "/pis/v2/payments"
APP = (FINTECTURE_APP_ID, FINTECTURE_APP_SECRET)
GRANT = {"grant_type": "client_credentials", "scope": "PIS"}
STATE = {"state": "order-1042"}
NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, where the manual clock stands
AMOUNT, CURRENCY, WORDS = "149.30", "EUR", "Order 1042"

Of = Callable[[BackgroundSandbox], httpx.Client]


def bearer(client: httpx.Client) -> dict[str, str]:
    answer = client.post(TOKENS, data=GRANT, auth=APP)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def order(**changes: Any) -> dict[str, Any]:
    """A connect call's body; None leaves a field out."""
    fields: dict[str, Any] = {
        "psu_name": "Ada Example",
        "psu_email": "ada@example.test",
        "amount": AMOUNT,
        "currency": CURRENCY,
        "communication": WORDS,
        **changes,
    }
    meta = {k: v for k, v in fields.items() if k.startswith("psu_") and v is not None}
    rest = {k: v for k, v in fields.items() if not k.startswith("psu_") and v is not None}
    return {"meta": meta, "data": {"type": "PIS", "attributes": rest}}


def opened(client: httpx.Client, **changes: Any) -> str:
    answer = client.post(CONNECT, params=STATE, json=order(**changes), headers=bearer(client))
    assert answer.status_code == 200, answer.text
    name: str = answer.json()["meta"]["session_id"]
    return name


def complaints(answer: httpx.Response) -> list[tuple[str, str]]:
    """Code and message of each error, once its frame is seen to be Fintecture's."""
    body = answer.json()
    assert body["status"] == str(answer.status_code)
    assert re.fullmatch("[0-9a-f]{32}", body["log_id"])
    return [(error["code"], error["message"]) for error in body["errors"] if error["title"]]


def test_basic_credentials_mint_a_token(fintecture: httpx.Client) -> None:
    answer = fintecture.post(TOKENS, data=GRANT | {"app_id": FINTECTURE_APP_ID}, auth=APP)
    token = answer.json()
    assert answer.status_code == 200
    assert len(token.pop("access_token")) > 40
    assert token == {"token_type": "Bearer", "expires_in": 3600, "scope": "PIS"}


@pytest.mark.parametrize("auth", [None, (FINTECTURE_APP_ID, "wrong"), ("nobody", ""), ("", "")])
def test_without_the_apps_credentials_there_is_no_token(
    sandbox: BackgroundSandbox, auth: tuple[str, str] | None
) -> None:
    url = f"{sandbox.url}/fintecture{TOKENS}"
    form = GRANT | {"client_id": FINTECTURE_APP_ID, "client_secret": FINTECTURE_APP_SECRET}
    with httpx.Client(trust_env=False, auth=auth) as client:
        answer = client.post(url, data=form)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert [code for code, _ in complaints(answer)] == ["invalid_app_id"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"app_id": "another"}, 401, "invalid_app_id"),
        ({"scope": "all"}, 401, "invalid_scopes"),
        ({"scope": ""}, 401, "invalid_scopes"),
        ({"grant_type": ""}, 400, "mandatory_field_missing"),
        ({"grant_type": "password"}, 400, "invalid_field"),
    ],
)
def test_another_grant_or_scope_is_refused(
    fintecture: httpx.Client, change: dict[str, str], status: int, code: str
) -> None:
    answer = fintecture.post(TOKENS, data=GRANT | change, auth=APP)
    assert answer.status_code == status
    assert [said for said, _ in complaints(answer)] == [code]


def test_a_token_is_asked_for_with_a_form(fintecture: httpx.Client) -> None:
    answer = fintecture.post(TOKENS, json=GRANT, auth=APP)
    assert answer.status_code == 400
    assert "x-www-form-urlencoded" in complaints(answer)[0][1]


def test_a_token_ends_by_the_movable_clock(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    old = bearer(fintecture)
    sandbox.advance(3599)
    assert fintecture.get(PAYMENTS, headers=old).status_code == 200
    sandbox.advance(1)
    over = fintecture.get(PAYMENTS, headers=old)
    assert (over.status_code, over.json()["code"]) == (401, "unauthorized")
    assert [code for code, _ in complaints(over)] == ["invalid_token"]
    assert fintecture.get(PAYMENTS, headers=bearer(fintecture)).status_code == 200
    assert fintecture.get(PAYMENTS, headers=old).status_code == 401


def test_how_long_a_token_lives_can_be_set(fintecture_of: Of, clock: ManualClock) -> None:
    settings = Settings(fintecture=FintectureSettings(expires_in=60))
    with BackgroundSandbox(settings, clock=clock) as sandbox, fintecture_of(sandbox) as client:
        assert client.post(TOKENS, data=GRANT, auth=APP).json()["expires_in"] == 60
        token = bearer(client)
        clock.now += 60
        assert client.get(PAYMENTS, headers=token).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer unknown", "Bearer $steps.mintToken"])
@pytest.mark.parametrize(("method", "path"), [("POST", CONNECT), ("GET", f"{PAYMENTS}/x")])
def test_nothing_but_a_live_token_opens_or_reads(
    sandbox: BackgroundSandbox, header: str, method: str, path: str
) -> None:
    url = f"{sandbox.url}/fintecture{path}"
    answer = httpx.request(method, url, headers={"Authorization": header}, trust_env=False)
    assert answer.status_code == 401
    assert [code for code, _ in complaints(answer)] == ["invalid_token"]


def test_a_session_is_opened_and_its_page_is_named(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    answer = fintecture.post(CONNECT, params=STATE, json=order(), headers=bearer(fintecture))
    meta = answer.json()["meta"]
    assert answer.status_code == 200
    assert meta["status"] == 201
    assert re.fullmatch("[0-9a-f]{32}", meta["session_id"])
    assert meta["url"] == f"{sandbox.url}/fintecture/connect/{meta['session_id']}"


def test_every_call_opens_another_session(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    headers = bearer(fintecture) | {"x-request-id": "r-1", "Idempotency-Key": "k-1"}
    names = [
        fintecture.post(CONNECT, params=STATE, json=order(), headers=headers).json()["meta"]
        for _ in range(2)
    ]
    assert names[0]["session_id"] != names[1]["session_id"]
    ledger = sandbox.ledger()
    assert len(ledger["payments"]) == 2
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


def test_all_that_is_missing_is_named_at_once(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    answer = fintecture.post(CONNECT, json={"meta": {}}, headers=bearer(fintecture))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    fields = [
        "state", "meta.psu_name", "meta.psu_email", "data.attributes.amount",
        "data.attributes.currency", "data.attributes.communication",
    ]  # fmt: skip
    assert complaints(answer) == [
        ("mandatory_field_missing", f"The field {field} is mandatory.") for field in fields
    ]
    assert sandbox.ledger()["payments"] == []


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"psu_name": None}, "mandatory_field_missing", "meta.psu_name"),
        ({"psu_name": " "}, "mandatory_field_missing", "meta.psu_name"),
        ({"psu_name": 7}, "mandatory_field_missing", "meta.psu_name"),
        ({"psu_name": "x" * 257}, "invalid_field", "meta.psu_name"),
        ({"psu_email": None}, "mandatory_field_missing", "meta.psu_email"),
        ({"psu_email": "ada"}, "invalid_field", "meta.psu_email"),
        ({"amount": None}, "mandatory_field_missing", "data.attributes.amount"),
        ({"amount": True}, "mandatory_field_missing", "data.attributes.amount"),
        ({"amount": "0.00"}, "invalid_field", "data.attributes.amount"),
        ({"amount": "-5"}, "invalid_field", "data.attributes.amount"),
        ({"amount": "1.999"}, "invalid_field", "data.attributes.amount"),
        ({"amount": "$inputs.amount"}, "invalid_field", "data.attributes.amount"),
        ({"amount": 1e30}, "invalid_field", "data.attributes.amount"),
        ({"currency": "eur"}, "invalid_field", "data.attributes.currency"),
        ({"communication": None}, "mandatory_field_missing", "data.attributes.communication"),
        ({"communication": "x" * 141}, "invalid_field", "data.attributes.communication"),
    ],
)
def test_what_is_wrong_with_an_order_is_named(
    fintecture: httpx.Client,
    sandbox: BackgroundSandbox,
    changes: dict[str, Any],
    code: str,
    field: str,
) -> None:
    body = order(**changes)
    answer = fintecture.post(CONNECT, params=STATE, json=body, headers=bearer(fintecture))
    assert answer.status_code == 400
    ((said, message),) = complaints(answer)
    assert (said, field in message) == (code, True)
    assert sandbox.ledger()["payments"] == []


@pytest.mark.parametrize("amount", ["1", "0.01", "149.3", 123, 149.3])
def test_an_amount_is_a_text_or_a_number_and_comes_back_as_a_text(
    fintecture: httpx.Client, amount: object
) -> None:
    name = opened(fintecture, amount=amount)
    seen = fintecture.get(f"{PAYMENTS}/{name}", headers=bearer(fintecture)).json()
    assert seen["data"]["attributes"]["amount"] == str(amount)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"meta": 1, "data": []}']
)
def test_no_body_makes_it_stumble(fintecture: httpx.Client, body: bytes) -> None:
    answer = fintecture.post(CONNECT, params=STATE, content=body, headers=bearer(fintecture))
    assert answer.status_code == 400
    assert complaints(answer)


def test_a_payment_goes_its_way_with_the_clock(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    name = opened(fintecture)

    def seen() -> tuple[str, str | None]:
        payment = fintecture.get(f"{PAYMENTS}/{name}", headers=bearer(fintecture)).json()
        assert payment["meta"]["session_id"] == name
        assert payment["data"]["attributes"] == {
            "amount": AMOUNT,
            "currency": CURRENCY,
            "communication": WORDS,
        }
        (row,) = sandbox.ledger()["payments"]
        assert row == {
            "session_id": name,
            "amount": AMOUNT,
            "currency": CURRENCY,
            "communication": WORDS,
            "status": payment["meta"]["status"],
            "created": NOON,
        }
        return payment["meta"]["status"], payment["data"]["transfer_state"]

    assert seen() == ("provider_required", None)
    sandbox.advance(1)
    assert seen() == ("payment_pending", None)
    sandbox.advance(2)
    assert seen() == ("payment_created", "completed")


def test_when_a_payer_pays_can_be_set(fintecture_of: Of, clock: ManualClock) -> None:
    settings = Settings(fintecture=FintectureSettings(pending_after=5, paid_after=float("inf")))
    with BackgroundSandbox(settings, clock=clock) as sandbox, fintecture_of(sandbox) as client:
        name = opened(client)
        clock.now += 4
        assert sandbox.ledger()["payments"][0]["status"] == "provider_required"
        clock.now += 1e9
        payment = client.get(f"{PAYMENTS}/{name}", headers=bearer(client)).json()
        assert payment["meta"]["status"] == "payment_pending"


@pytest.mark.parametrize(
    ("query", "status"), [("", "payment_created"), ("?outcome=fail", "payment_unsuccessful")]
)
def test_the_payers_page_settles_a_payment_once(
    fintecture: httpx.Client, sandbox: BackgroundSandbox, query: str, status: str
) -> None:
    name = opened(fintecture)
    page = f"{sandbox.url}/fintecture/connect/{name}"
    said = httpx.get(page + query, trust_env=False)
    assert (said.status_code, said.json()) == (200, {"session_id": name, "status": status})
    assert httpx.get(page, trust_env=False).status_code == 404
    sandbox.advance(10)
    assert sandbox.ledger()["payments"][0]["status"] == status


def test_an_unknown_session_is_not_found(fintecture: httpx.Client) -> None:
    answer = fintecture.get(f"{PAYMENTS}/{'0' * 32}", headers=bearer(fintecture))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert complaints(answer)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", CONNECT), ("POST", PAYMENTS), ("GET", f"{PAYMENTS}/"), ("GET", "/"), ("GET", "/x")],
)
def test_there_is_nothing_elsewhere(fintecture: httpx.Client, method: str, path: str) -> None:
    answer = fintecture.request(method, path, headers=bearer(fintecture))
    assert answer.status_code == 404


def test_payments_are_listed_newest_first(fintecture: httpx.Client) -> None:
    first, second = opened(fintecture), opened(fintecture, amount="1")
    token = bearer(fintecture)
    listed = fintecture.get(PAYMENTS, headers=token).json()["data"]
    assert [row["meta"]["session_id"] for row in listed] == [second, first]
    assert listed[1]["meta"]["status"] == "provider_required"
    assert listed[1]["attributes"]["amount"] == AMOUNT
    assert listed[1]["created_at"] == "2026-11-21T12:00:00Z"


def test_payments_are_listed_by_their_status(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    first = opened(fintecture)
    sandbox.advance(1)
    second = opened(fintecture)
    token = bearer(fintecture)

    def listed(status: str) -> list[str]:
        query = {"filter[status]": status}
        rows = fintecture.get(PAYMENTS, params=query, headers=token).json()["data"]
        return [row["meta"]["session_id"] for row in rows]

    assert listed("payment_pending") == [first]
    assert listed("provider_required") == [second]
    assert listed("payment_created") == []


def test_beyond_the_rate_comes_429(fintecture_of: Of, clock: ManualClock) -> None:
    settings = Settings(fintecture=FintectureSettings(rate=1))
    with BackgroundSandbox(settings, clock=clock) as sandbox, fintecture_of(sandbox) as client:
        assert client.post(TOKENS, data=GRANT, auth=APP).status_code == 200
        limited = client.post(TOKENS, data=GRANT, auth=APP)
        assert (limited.status_code, limited.json()["code"]) == (429, "too_many_requests")
        assert complaints(limited)


def test_a_lost_answer_leaves_a_session_behind(
    fintecture: httpx.Client, sandbox: BackgroundSandbox
) -> None:
    token = bearer(fintecture)
    sandbox.faults({"match": "POST /fintecture/pis/*", "do": "drop_after"})
    with pytest.raises(httpx.TransportError):
        fintecture.post(CONNECT, params=STATE, json=order(), headers=token)
    assert len(sandbox.ledger()["payments"]) == 1
    sandbox.faults({"match": "POST /fintecture/pis/*", "do": "status", "status": 503})
    down = fintecture.post(CONNECT, params=STATE, json=order(), headers=token)
    assert (down.status_code, down.json()["code"]) == (503, "service_unavailable")
    assert sandbox.summary()["payments"] == 1


def test_ended_tokens_take_no_room(fintecture_of: Of, clock: ManualClock) -> None:
    with (
        BackgroundSandbox(Settings(capacity=2), clock=clock) as sandbox,
        fintecture_of(sandbox) as client,
    ):
        bearer(client)
        clock.now += 3600
        bearer(client)
        bearer(client)
        assert client.post(TOKENS, data=GRANT, auth=APP).status_code == 503
