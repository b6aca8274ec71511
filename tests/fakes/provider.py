"""Stripe and Twilio as far as their books go: what was charged, what was sent, and how often.

The ledger is the provider's own: it knows requests and keys, and nothing of durazzo but the
intent that the test notes beside each call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs

from orchestrator.expressions.nodes import Json
from orchestrator.journal.port import Ref
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from tests.fakes.actors import current, pause
from tests.fakes.clock import ManualClock
from workers.render import FrozenRequest

Weather = Literal[
    "answer",  # executed, and answered
    "refused",  # no connection: surely not executed
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
WEATHERS: tuple[Weather, ...] = Weather.__args__  # type: ignore[attr-defined]

#: Stripe forgets a key after a day: it is silently a new request then. ms.
KEY_LIFE = 24 * 3_600_000
#: What the network still holds of a call is gone after this. ms.
NETWORK_LIFE = 3_600_000
_SURELY_NOT = frozenset({"refused", "429", "declined", "401"})


@dataclass(frozen=True, slots=True)
class Effect:
    """Money that moved, or a text that went out."""

    run: str
    step: str
    key: str
    at: int
    id: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it left, and whether the provider may have carried it out."""

    ref: Ref | None
    at: int
    maybe: bool


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
    #: Requests that are still on their way, with the time they left.
    network: list[tuple[int, FrozenRequest]] = field(default_factory=list)
    #: Keys that came with other bytes than before.
    changed: list[str] = field(default_factory=list)
    _saved: dict[str, _Saved] = field(default_factory=dict)

    # The port: workers.http.Caller.

    def call(
        self,
        request: FrozenRequest,
        *,
        headers: Sequence[tuple[str, str]],
        url: str,
        deadline_s: float,
    ) -> Result:
        assert dict(headers).get("Authorization")
        assert url == request.url
        assert deadline_s > 0
        left = self.clock.now
        pause("sending")
        if self.clock.now - left > NETWORK_LIFE:
            return NoAnswer(stage="sent", reason="timeout")
        weather = self.weather
        actor = current()
        ref = actor.ref if actor else None
        self.sent.append(Sent(ref, self.clock.now, weather not in _SURELY_NOT))
        return self._answer(request, weather)

    def close(self) -> None:
        pass

    def _answer(self, request: FrozenRequest, weather: Weather) -> Result:
        match weather:
            case "refused":
                return NoAnswer(stage="not-sent", reason="connect-failed")
            case "dropped-before":
                return NoAnswer(stage="sent", reason="reset")
            case "late":
                self.network.append((self.clock.now, request))
                return NoAnswer(stage="sent", reason="timeout")
            case "dropped-after":
                self._execute(request, weather)
                return NoAnswer(stage="sent", reason="reset")
            case "500":
                return _json(500, {})
            case "429":
                return _json(429, {"code": 20429})
            case "401":
                return _json(401, {"code": 20003})
            case "409":
                return _json(409, {"error": {"code": "idempotency_key_in_use"}})
            case _:
                return self._execute(request, weather)

    def arrive(self, index: int) -> None:
        """A request that everybody had given up arrives all the same."""
        left, request = self.network.pop(index)
        if self.clock.now - left <= NETWORK_LIFE:
            self._execute(request, "answer")

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
        charge = f"pi_{len(self.charges)}"
        if weather == "declined":
            error: dict[str, Json] = {"error": {"code": "card_declined", "type": "card_error"}}
            return _Saved(self.clock.now, body, 402, error)
        if weather == "pending":
            waits: dict[str, Json] = {
                "object": "payment_intent", "id": charge, "status": "requires_action"
            }  # fmt: skip
            return _Saved(self.clock.now, body, 200, waits)
        self.charges.append(Effect(run, step, key, self.clock.now, charge))
        if weather == "500-after":
            return _Saved(self.clock.now, body, 500, {})
        paid: dict[str, Json] = {"object": "payment_intent", "id": charge, "status": "succeeded"}
        return _Saved(self.clock.now, body, 200, paid)

    def _text(self, request: FrozenRequest, weather: Weather) -> Answer:
        if weather == "declined":
            return _json(400, {"code": 21211})
        form = parse_qs((request.body or b"").decode())
        sid = f"SM{len(self.texts)}"
        self.texts.append(Effect(form["To"][0], form["From"][0], "", self.clock.now, sid))
        if weather == "500-after":
            return _json(500, {})
        return _json(201, {"sid": sid, "status": "queued"})


def _header(request: FrozenRequest, name: str) -> str:
    parts = request.header(name)
    assert parts
    return "".join(part for part in parts if isinstance(part, str))


def _json(status: int, body: dict[str, Json]) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=body)
