"""The sandbox's own pages: the ledger, the faults, the clock, a fresh start.

| | |
|---|---|
| `GET /ledger` | charges, messages, payments, generations, requests, duplicates; and `world` |
| | `?requests=0` leaves requests out |
| `GET /ledger/summary` | their counts |
| `POST /faults` | scripts a fault or a list (see `faults`); `GET` shows, `DELETE` ends them |
| `GET /clock`, `POST /clock` | the time, and `{"advance": seconds}` to move it forward |
| `POST /reset` | forgets everything: books, objects, keys, faults, and the clock's advance |
| `GET /healthz` | 200 |
| `GET /` | what this is, and which calls are played |
"""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Final

from aiohttp import web

from ops.sandbox.clock import MovableClock
from ops.sandbox.exchange import Body, encoded, json_document
from ops.sandbox.faults import MAX_FAULTS, Complaint, is_number, read_faults
from ops.sandbox.settings import Settings
from ops.sandbox.world import World

#: Some thirty years.
_MAX_ADVANCE: Final = 1e9
_WELCOME: Final = """\
This is a sandbox: local look-alikes of Stripe (/stripe), Twilio (/twilio), Fintecture
(/fintecture) and Anthropic (/anthropic) for tests. It moves no money, sends no texts and asks no
model. It is none of these companies', and they have no part in it.

GET /ledger          what was charged, sent, opened and written here (?requests=0: no requests)
GET /ledger/summary  how much of it
POST /faults         script failures (GET shows them, DELETE ends them)
POST /clock          {"advance": seconds}
POST /reset          forget everything

What is refused when it is asked for so:
Stripe      payment_method pm_card_visa_chargeDeclined and Stripe's other test tokens
Twilio      To +15005550001, 2, 3, 4, 9; From +15005550001, 7, 8
Fintecture  the payer's page (meta.url) with ?outcome=fail
Anthropic   SANDBOX_REFUSAL anywhere in the prompt

What is played is below. Whatever else a provider really has, paths and parameters alike, is
answered with 501 and the header X-Sandbox: not-played, and what it has not, as it would itself.
"""
DOCUMENTED: Final = (
    "NOT HOW THE PROVIDERS BEHAVE: this is the documented world, which answers as published API "
    "descriptions say. A real declined card is a 402, and real Fintecture wants Basic credentials, "
    "psu_name, psu_email and state, and keeps its status under meta."
)


class Control:
    def __init__(self, settings: Settings, *, clock: MovableClock, entropy: random.Random) -> None:
        self._settings = settings
        self._entropy = entropy
        self.clock = clock
        self.world = World.begin(settings, entropy)

    def answer(self, method: str, path: str, query: str, body: bytes) -> web.Response:
        match method, path:
            case "GET", "/":
                return self._welcome()
            case "GET", "/healthz":
                return _json({"status": "ok"})
            case "GET", "/ledger":
                return self._ledger(with_requests=query != "requests=0")
            case "GET", "/ledger/summary":
                return self._summary()
            case _, "/faults":
                return self._faults(method, body)
            case _, "/clock":
                return self._clock(method, body)
            case "POST", "/reset":
                return self._reset()
            case _:
                return _wrong([Complaint("", f"there is no {method} {path} here")], status=404)

    def _welcome(self) -> web.Response:
        warning = f"{DOCUMENTED}\n\n" if self._settings.documented else ""
        played = [
            f"{method:<5} /{name}{path}"
            for name, provider in self.world.providers.items()
            for method, _, path in (call.partition(" ") for call in provider.played)
        ]
        return web.Response(text="\n".join([warning + _WELCOME, *played, ""]))

    def _ledger(self, *, with_requests: bool) -> web.Response:
        ledger = self.world.books.ledger(now=self.clock(), with_requests=with_requests)
        return _json({"world": self._settings.world, **ledger})

    def _summary(self) -> web.Response:
        return _json({"world": self._settings.world, **self.world.books.summary()})

    def _faults(self, method: str, body: bytes) -> web.Response:
        faults = self.world.faults
        match method:
            case "GET":
                return _json({"faults": faults.rows()})
            case "DELETE":
                faults.clear()
                return _json({"faults": []})
            case "POST":
                return self._add_faults(body)
            case _:
                return _wrong([Complaint("", "GET, POST or DELETE")], status=405)

    def _add_faults(self, body: bytes) -> web.Response:
        document, complaint = _document(body)
        if complaint is not None:
            return _wrong([complaint])
        read, complaints = read_faults(document)
        if not complaints and len(self.world.faults) + len(read) > MAX_FAULTS:
            complaints = [Complaint("", f"there may be {MAX_FAULTS} faults at once")]
        if complaints:
            return _wrong(complaints)
        self.world.faults.add(read)
        return _json({"faults": self.world.faults.rows()})

    def _clock(self, method: str, body: bytes) -> web.Response:
        if method == "POST":
            document, complaint = _document(body)
            seconds = document.get("advance") if isinstance(document, dict) else None
            if not is_number(seconds, 0, _MAX_ADVANCE):
                return _wrong([complaint or Complaint("advance", "must be seconds, 0 or more")])
            self.clock.advance(float(seconds))
        return _json({"now": self.clock(), "ahead": self.clock.ahead})

    def _reset(self) -> web.Response:
        """Calls that are under way end in the world that they began in."""
        self.clock.back_to_source()
        self.world = World.begin(self._settings, self._entropy)
        return self._summary()


def _json(body: Body, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encoded(body), content_type="application/json")


def _wrong(complaints: list[Complaint], *, status: int = 400) -> web.Response:
    said = "; ".join(f"{c.field} {c.message}".strip() for c in complaints)
    error = {"message": said, "problems": [asdict(c) for c in complaints]}
    return _json({"error": error}, status=status)


def _document(body: bytes) -> tuple[object, Complaint | None]:
    try:
        return json_document(body), None
    except ValueError as error:
        return None, Complaint("", f"not JSON: {error}")
