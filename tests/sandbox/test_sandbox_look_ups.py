"""What the shipped profiles ask after a lost answer, the sandbox answers as they expect."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from jsonpointer import resolve_pointer

from ops.sandbox.clock import ManualClock
from ops.sandbox.settings import FINTECTURE_APP_ID, FINTECTURE_APP_SECRET, TWILIO_ACCOUNT_SID

PROFILES: Final = Path(__file__).parents[2] / "specs" / "providers"
Form = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A call that may be lost: what stands for each `*` of its path, and its body."""

    path: tuple[str, ...] = ()
    body: Form
    #: Another customer's: never to be taken for it.
    other: Form
    #: JSON, not a form.
    json: bool = False
    query: Form | None = None


def text(to: str) -> Form:
    return {"To": to, "From": "+15005550006", "Body": "Your payment was received."}


def look_ups(*wanted: str) -> Iterator[Any]:
    """All entries that have the wanted members."""
    for file in sorted(PROFILES.glob("*.yaml")):
        profile = yaml.safe_load(file.read_text())
        for entry in profile.get("look_up", []):
            call = entry["call"]
            name = f"{profile['name']} {call['method']} {call['path']}"
            if not set(wanted) <= set(entry):
                continue
            yield pytest.param(profile["name"], entry, id=name)


class FreshToken(httpx.Auth):
    """A bearer token of its own for each call: an hour is longer than one lives."""

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        url = request.url.copy_with(path="/fintecture/oauth/accesstoken", query=None)
        mint = httpx.Request("POST", url, data={"grant_type": "client_credentials", "scope": "PIS"})
        app = httpx.BasicAuth(FINTECTURE_APP_ID, FINTECTURE_APP_SECRET)
        token = (yield next(app.auth_flow(mint))).json()["access_token"]
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


@pytest.fixture
def clients(
    stripe: httpx.Client, twilio: httpx.Client, fintecture: httpx.Client
) -> Mapping[str, httpx.Client]:
    fintecture.auth = FreshToken()
    return {"stripe": stripe, "twilio": twilio, "fintecture": fintecture}


def effect_of(provider: str, path: str, stripe: httpx.Client) -> Effect:
    """An entry without one fails here: a new look-up wants an effect to be looked for."""

    def customer() -> str:
        return str(stripe.post("/v1/customers").json()["id"])

    intent = {"amount": "2000", "currency": "usd", "metadata": {"order": "o-1"}}
    match provider, path:
        case "stripe", "/v1/customers":
            body = {"email": "a@shop.test", "name": "Ada", "metadata": {"order": "o-1"}}
            return Effect(body=body, other=body | {"email": "b@shop.test"})
        case "stripe", "/v1/payment_intents":
            return Effect(
                body=intent | {"customer": customer()}, other=intent | {"customer": customer()}
            )
        case "stripe", "/v1/payment_intents/*/confirm":
            made = stripe.post("/v1/payment_intents", data=fields(intent)).json()["id"]
            body = {"payment_method": "pm_card_visa"}
            return Effect(path=(made,), body=body, other={})
        case "twilio", "/2010-04-01/Accounts/*/Messages.json":
            return Effect(
                path=(TWILIO_ACCOUNT_SID,), body=text("+15551230001"), other=text("+15551230002")
            )
        case "fintecture", "/pis/v2/connect":
            return Effect(
                body=order("Order 1042"), other=order("Order 7"), json=True, query={"state": "s"}
            )
        case _:
            raise KeyError(f"{provider} {path}")


def order(words: str) -> Form:
    return {
        "meta": {"psu_name": "Ada Example", "psu_email": "ada@example.test"},
        "data": {
            "type": "PIS",
            "attributes": {"amount": "149.30", "currency": "EUR", "communication": words},
        },
    }


def sent_of(body: Form, field: str) -> Any:
    """A field by its name, or by a pointer; None for one that was not sent."""
    return resolve_pointer(body, field, None) if field.startswith("/") else body.get(field)


def fits(entry: Form, body: Form, candidate: object) -> bool:
    return all(
        resolve_pointer(candidate, pointer, None) == sent
        for pointer, field in entry.get("match", {}).items()
        if (sent := sent_of(body, field)) is not None
    )


def fields(body: Form) -> dict[str, str]:
    plain = {name: value for name, value in body.items() if not isinstance(value, dict)}
    nested = {
        f"{name}[{key}]": value
        for name, members in body.items()
        if isinstance(members, dict)
        for key, value in members.items()
    }
    return plain | nested


def filled(pattern: str, names: tuple[str, ...]) -> str:
    for name in names:
        pattern = pattern.replace("*", name, 1)
    return pattern


def asked(path: str, names: tuple[str, ...]) -> str:
    """The path with each `{1}` put in."""
    for number, name in enumerate(names, start=1):
        path = path.replace(f"{{{number}}}", name)
    return path


def created(entry: Form, candidate: object) -> float:
    said = resolve_pointer(candidate, entry["created"])
    match entry.get("created_format", "unix"):
        case "unix":
            return float(said)
        case "rfc3339":
            return datetime.fromisoformat(said).timestamp()
        case _:
            return parsedate_to_datetime(said).timestamp()


@pytest.mark.parametrize(("provider", "entry"), list(look_ups()))
def test_what_a_profile_looks_up_is_found_where_it_looks(
    clients: Mapping[str, httpx.Client], clock: ManualClock, provider: str, entry: Form
) -> None:
    client = clients[provider]
    effect = effect_of(provider, entry["call"]["path"], clients["stripe"])
    path = filled(entry["call"]["path"], effect.path)

    def done(body: Form) -> Any:
        sent: Any = {"json": body} if effect.json else {"data": fields(body)}
        answer = client.request(entry["call"]["method"], path, params=effect.query, **sent)
        assert answer.status_code == entry.get("status", 200), answer.text
        return resolve_pointer(answer.json(), entry["id"])

    if effect.other:
        done(effect.body)  # an earlier one of the same words
        clock.now += 3600
        done(effect.other)
    first_sent = clock.now
    wanted = done(effect.body)
    query = {name: effect.body[field] for name, field in entry.get("query", {}).items()}
    query |= entry.get("fixed", {})
    query |= {entry["since"]: str(int(first_sent))} if "since" in entry else {}
    answer = client.get(asked(entry["ask"], effect.path), params=query)
    assert answer.status_code == 200, answer.text
    whole = answer.json()
    candidates = resolve_pointer(whole, entry["items"]) if "items" in entry else [whole]
    if "created" in entry:
        candidates = [each for each in candidates if created(entry, each) >= first_sent]
    if not query:
        # The provider cannot be asked for it by what was sent: its list has the others as well.
        candidates = [each for each in candidates if fits(entry, effect.body, each)]
    (found,) = candidates
    assert resolve_pointer(found, entry["id"]) == wanted
    for pointer, field in entry.get("match", {}).items():
        if (sent := sent_of(effect.body, field)) is not None:
            value = resolve_pointer(found, pointer)
            assert (value if isinstance(sent, dict) else str(value)) == sent
    if "by_id" in entry:
        path = asked(entry["by_id"], effect.path).replace("{id}", wanted)
        assert client.get(path).json() == found


def holds(test: Form, found: object) -> bool:
    return bool(resolve_pointer(found, test["pointer"]) in test["one_of"])


@pytest.mark.parametrize(("provider", "entry"), list(look_ups("refused")))
def test_a_refusal_is_told_by_what_was_refused(
    clients: Mapping[str, httpx.Client], provider: str, entry: Form
) -> None:
    client, refused = clients[provider], entry["refused"]
    intent = {"amount": "2000", "currency": "usd"}
    declined = {"payment_method": "pm_card_visa_chargeDeclinedLostCard"}
    if "*" in entry["call"]["path"]:
        made = client.post("/v1/payment_intents", data=intent).json()
        assert any(holds(test, made) for test in entry["undone"])
        answer = client.post(filled(entry["call"]["path"], (made["id"],)), data=declined)
    else:
        answer = client.post(entry["call"]["path"], data=intent | declined | {"confirm": "true"})
    said = answer.json()["error"]
    subject = said[refused["subject"]]
    path = entry.get("by_id", entry["ask"]).replace("{id}", "{1}")
    found = client.get(asked(path, (subject["id"],))).json()
    assert answer.status_code == refused["status"]
    assert holds(refused["when"], found)
    kept = resolve_pointer(found, refused["error"])
    assert kept.items() <= said.items()
    assert (kept["type"], kept["decline_code"]) == ("card_error", "lost_card")
    assert found == subject


def test_a_look_up_by_time_leaves_the_earlier_ones_out(
    stripe: httpx.Client, clock: ManualClock
) -> None:
    """By the provider itself, not by whoever reads its page."""
    for path, body in (
        ("/v1/customers", {"email": "a@shop.test"}),
        ("/v1/payment_intents", {"amount": "2000", "currency": "usd"}),
    ):
        stripe.post(path, data=body)
        clock.now += 60
        later = stripe.post(path, data=body).json()["id"]
        page = stripe.get(path, params={"created[gte]": int(clock.now), "limit": "100"}).json()
        assert [each["id"] for each in page["data"]] == [later]


@pytest.mark.parametrize(("provider", "entry"), list(look_ups("more")))
def test_a_list_that_goes_on_says_so_where_the_profile_looks(
    clients: Mapping[str, httpx.Client], provider: str, entry: Form
) -> None:
    client = clients[provider]
    effect = effect_of(provider, entry["call"]["path"], clients["stripe"])
    size = next(name for name in entry["fixed"] if name in {"limit", "PageSize"})
    cut_off = []
    for _ in range(2):
        client.post(filled(entry["call"]["path"], effect.path), data=fields(effect.body))
        page = client.get(asked(entry["ask"], effect.path), params={size: "1"}).json()
        cut_off.append(bool(resolve_pointer(page, entry["more"])))
    assert cut_off == [False, True]
