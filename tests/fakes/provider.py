"""Stripe and Twilio as far as their books go: what was charged, what was sent, and how often.

The ledger is the provider's own: it knows requests and keys, and nothing of durazzo but the
intent that the test notes beside each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from orchestrator.expressions.nodes import Json
from orchestrator.journal.port import Ref
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from tests.fakes.actors import current, pause
from tests.fakes.clock import ManualClock
from workers.render import FrozenRequest

Weather = Literal[
    "answer",  # executed, and answered
    "refused",  # no connection: surely not executed
    "forbidden",  # durazzo's own rules let no call go there
    "dropped-before",  # lost on the way there
    "dropped-after",  # executed, and the answer lost on the way back
    "late",  # the answer is given up; the request arrives some time later
    "429",
    "500",  # not executed, though nobody can tell
    "500-after",  # executed, though nobody can tell
    "declined",
    "401",
    "pending",
    "409",
]
#: Those that come and go by themselves; what is forbidden is so until a worker is told otherwise.
WEATHERS: tuple[Weather, ...] = tuple(
    weather
    for weather in Weather.__args__  # type: ignore[attr-defined]
    if weather != "forbidden"
)

#: Stripe forgets a key after a day: it is silently a new request then. ms.
KEY_LIFE = 24 * 3_600_000
#: What the network still holds of a call is gone after this. ms.
NETWORK_LIFE = 3_600_000
#: Answers that leave no trace in the books.
_PLAIN: dict[str, tuple[int, dict[str, Json]]] = {
    "500": (500, {}),
    "429": (429, {"code": 20429}),
    "401": (401, {"code": 20003}),
    "409": (409, {"error": {"code": "idempotency_key_in_use"}}),
}
_FORBIDDEN = NoAnswer(stage="not-sent", reason="host-refused", refused="api.example")
_SURELY_NOT = frozenset({"refused", "forbidden", "429", "declined", "401"})


@dataclass(frozen=True, slots=True)
class Effect:
    """Money that moved, or a text that went out."""

    run: str
    step: str
    key: str
    at: int
    id: str
    #: In minor units; 0 for a text.
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it left, and whether the provider may have carried it out."""

    ref: Ref | None
    at: int
    maybe: bool
    #: When it was given to the network, where a process may have stood still until it left.
    given: int


@dataclass(frozen=True, slots=True)
class Look:
    """A search for a text, and what it found."""

    run: str
    step: str
    #: Texts and charges that had been asked for by then.
    after: int
    at: int
    found: int

    def of(self, sent: Sent) -> bool:
        return sent.ref is not None and (self.run, self.step) == (sent.ref.run, sent.ref.step)


@dataclass(slots=True)
class _Saved:
    at: int
    bytes: bytes
    status: int
    body: dict[str, Json]


@dataclass
class Provider:
    clock: ManualClock
    weather: Weather = "answer"
    charges: list[Effect] = field(default_factory=list)
    texts: list[Effect] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    #: What may still happen: requests on their way, payments that a customer has yet to confirm.
    network: list[Callable[[], None]] = field(default_factory=list)
    looked: list[Look] = field(default_factory=list)
    #: How long each call, or look-up, was allowed to take. s.
    allowed: list[float] = field(default_factory=list)
    #: By what each of them was authorized.
    authorized: list[str] = field(default_factory=list)
    #: Keys that came with other bytes than before.
    changed: list[str] = field(default_factory=list)
    #: Payment intents as Stripe has them now, by id.
    intents: dict[str, dict[str, Json]] = field(default_factory=dict)
    #: The list of texts goes on behind the page that is given.
    goes_on: bool = False
    _saved: dict[str, _Saved] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)

    # The port: workers.http.Caller.

    def call(
        self,
        request: FrozenRequest,
        *,
        headers: Sequence[tuple[str, str]],
        url: str,
        deadline_s: float,
    ) -> Result:
        self.authorized.append(dict(headers)["Authorization"])
        assert url == request.url
        assert deadline_s > 0
        self.allowed.append(deadline_s)
        left = self.clock.now
        pause("sending")
        if self.clock.now - left > NETWORK_LIFE:
            return NoAnswer(stage="sent", reason="timeout")
        weather = self.weather
        if request.method == "GET":
            return self._looked(request, weather)
        actor = current()
        ref = actor.ref if actor else None
        self.sent.append(Sent(ref, self.clock.now, weather not in _SURELY_NOT, left))
        return self._answer(request, weather)

    def close(self) -> None:
        pass

    def _answer(self, request: FrozenRequest, weather: Weather) -> Result:
        match weather:
            case "refused":
                return NoAnswer(stage="not-sent", reason="connect-failed")
            case "forbidden":
                return _FORBIDDEN
            case "dropped-before":
                pass
            case "late":
                self.network.append(partial(self._arrived, self.clock.now, request))
            case "dropped-after":
                self._execute(request, weather)
            case _ if weather in _PLAIN:
                return _json(*_PLAIN[weather])
            case _:
                return self._execute(request, weather)
        return NoAnswer(stage="sent", reason="reset")

    def arrive(self, index: int) -> None:
        """What everybody had given up happens all the same."""
        self.network.pop(index)()

    def _arrived(self, left: int, request: FrozenRequest) -> None:
        if self.clock.now - left <= NETWORK_LIFE:
            self._execute(request, "answer")

    # Looking: it changes nothing, and nothing of it is counted as sent.

    def _looked(self, request: FrozenRequest, weather: Weather) -> Result:
        match weather:
            case "refused":
                return NoAnswer(stage="not-sent", reason="connect-failed")
            case "forbidden":
                return _FORBIDDEN
            case "dropped-before" | "dropped-after" | "late":
                return NoAnswer(stage="sent", reason="reset")
            case "500-after":
                return _json(500, {})
            case _ if weather in _PLAIN:
                return _json(*_PLAIN[weather])
            case _:
                return self._found(urlsplit(request.url))

    def _found(self, url: SplitResult) -> Answer:
        query = parse_qs(url.query)
        if url.path.endswith("/Messages.json"):
            wanted = (query["To"][0], query["From"][0])
            texts = [t for t in self.texts if (t.run, t.step) == wanted]
            self.looked.append(Look(*wanted, len(self.sent), self.clock.now, len(texts)))
            page = [self._message(text) for text in reversed(texts)]
            return _json(200, {"messages": page, "next_page_uri": "/2" if self.goes_on else None})
        if (intent := self.intents.get(url.path.rpartition("/")[2])) is not None:
            return _json(200, intent)
        since = int(query["created[gte]"][0])
        made = [i for i in self.intents.values() if int(str(i["created"])) >= since]
        return _json(200, {"data": list(reversed(made))})

    def _message(self, text: Effect) -> Json:
        made = format_datetime(datetime.fromtimestamp(text.at / 1000, UTC))
        return {
            "sid": text.id, "to": text.run, "from": text.step, "body": self._words[text.id],
            "date_created": made, "status": "sent",
        }  # fmt: skip

    # Its books.

    def _execute(self, request: FrozenRequest, weather: Weather) -> Answer:
        if request.provider == "twilio":
            return self._text(request, weather)
        key = _header(request, "Idempotency-Key")
        saved = self._saved.get(key)
        if saved is None or self.clock.now - saved.at > KEY_LIFE:
            saved = self._charge(request, weather, key)
            self._saved[key] = saved
        if saved.bytes != (request.body or b""):
            self.changed.append(key)
        return _json(saved.status, saved.body)

    def _charge(self, request: FrozenRequest, weather: Weather, key: str) -> _Saved:
        body = request.body or b""
        form = parse_qs(body.decode())
        run, step = form["metadata[reference]"][0], form["metadata[step]"][0]
        name, amount = f"pi_{len(self.intents)}", int(form["amount"][0])
        charge = Effect(run, step, key, self.clock.now, name, amount)
        intent = self._intent(charge, form)
        if weather == "declined":
            error: dict[str, Json] = {"code": "card_declined", "type": "card_error"}
            intent |= {"status": "requires_payment_method", "last_payment_error": error}
            told: Json = {**error, "payment_intent": dict(intent)}
            return _Saved(self.clock.now, body, 402, {"error": told})
        if weather == "pending":
            intent["status"] = "requires_action"
            self.network.append(partial(self._confirmed, charge))
            return _Saved(self.clock.now, body, 200, dict(intent))
        self._confirmed(charge)
        if weather == "500-after":
            return _Saved(self.clock.now, body, 500, {})
        return _Saved(self.clock.now, body, 200, dict(intent))

    def _intent(self, charge: Effect, form: dict[str, list[str]]) -> dict[str, Json]:
        intent: dict[str, Json] = {
            "object": "payment_intent", "id": charge.id, "created": charge.at // 1000,
            "amount": charge.amount, "amount_received": 0, "currency": form["currency"][0],
            "metadata": {"reference": charge.run, "step": charge.step},
        }  # fmt: skip
        self.intents[charge.id] = intent
        return intent

    def _confirmed(self, charge: Effect) -> None:
        self.intents[charge.id] |= {"status": "succeeded", "amount_received": charge.amount}
        self.charges.append(charge)

    def _text(self, request: FrozenRequest, weather: Weather) -> Answer:
        if weather == "declined":
            return _json(400, {"code": 21211})
        form = parse_qs((request.body or b"").decode())
        sid = f"SM{len(self.texts)}"
        self.texts.append(Effect(form["To"][0], form["From"][0], "", self.clock.now, sid))
        self._words[sid] = form["Body"][0]
        if weather == "500-after":
            return _json(500, {})
        return _json(201, {"sid": sid, "status": "queued"})


def _header(request: FrozenRequest, name: str) -> str:
    parts = request.header(name)
    assert parts
    return "".join(part for part in parts if isinstance(part, str))


def _json(status: int, body: dict[str, Json]) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=body)
