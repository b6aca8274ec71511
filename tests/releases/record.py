"""Record this release's journals: ``python -m tests.releases.record 0.1``.

Each file is all that Redis holds of one run in one state, as plain JSON, sealed under a key that
is not secret. They are what later releases must be able to finish, so a folder that is
there is never written again.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ops import lab
from ops.sandbox.server import BackgroundSandbox
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.plan.model import Plan
from tests.process.house import (
    CHARGE_AND_TEXT,
    DECLINED,
    DUNNING,
    FROM,
    OSOP_PAYMENT,
    TOKEN_AND_PAYMENT,
    plan_of,
)
from tests.releases.hands import Hands, Offset

JOURNALS: Final = Path(__file__).parents[1] / "fixtures" / "journals"
_TEXTS: Final = "POST /twilio/*"
_CHARGES: Final = "POST /stripe/v1/payment_intents*"
#: Of processes, not of runs; and the test's clock.
_PASSING: Final = ("workers", "leader", "leader:at", "clock")


def plan(workflow: str) -> Plan:
    match workflow:
        case "charge":
            return plan_of(CHARGE_AND_TEXT)
        case "dunning":
            return plan_of(DUNNING, "failed-payment-dunning-real")
        case "osop":
            return plan_of(OSOP_PAYMENT)
        case _:
            return plan_of(TOKEN_AND_PAYMENT, "token-then-payment-real")


def inputs(workflow: str, env: Any, card: str = "pm_card_visa") -> dict[str, Json]:
    match workflow:
        case "charge":
            return {
                "amount": 2000, "currency": "usd", "paymentMethod": card, "fromPhone": FROM,
                "toPhone": "+15558671042", "accountSid": env["TWILIO_ACCOUNT_SID"],
            }  # fmt: skip
        case "dunning":
            return {
                "amount": 4200, "currency": "usd", "paymentMethod": DECLINED, "fromNumber": FROM,
                "toNumber": "+15558671043", "accountSid": env["TWILIO_ACCOUNT_SID"],
            }  # fmt: skip
        case "osop":
            return {}
        case _:
            return {
                "clientId": env["FINTECTURE_APP_ID"], "amount": "149.30", "currency": "EUR",
                "clientSecret": env["FINTECTURE_APP_SECRET"], "communication": "Order 1042",
                "requestId": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "psuName": "Ada Payer",
                "psuEmail": "ada@payer.example", "state": "order-1042",
            }  # fmt: skip


class Stage:
    """One run of one workflow, brought to one state."""

    def __init__(self, url: str, sandbox: BackgroundSandbox, workflow: str) -> None:
        self.workflow = workflow
        self._url = url
        self._sandbox = sandbox
        self.hands = Hands(url, sandbox, Offset())
        self.run = ""

    def submit(self, *, card: str = "pm_card_visa", key: str | None = None) -> None:
        given = inputs(self.workflow, self._sandbox.env, card)
        self.run = self.hands.submit(plan(self.workflow), given, key=key)

    def died(self, point: str, step: str) -> None:
        self.submit()
        self._die(Hands(self._url, self._sandbox, Offset(), dies=(point, step)))

    def undecided(self) -> None:
        self.submit()
        self._die(Hands(self._url, self._sandbox, Offset(), undecided=True))

    def _die(self, other: Hands) -> None:
        other.broker.queue = list(self.hands.broker.queue)
        self.hands.broker.queue.clear()
        other.work_until_death()
        other.close()

    def fault(self, **fault: object) -> None:
        self._sandbox.faults(fault)

    def worked(self, **fault: object) -> None:
        """Every message, once: what waits then, waits."""
        if fault:
            self.fault(**fault)
        self.submit()
        self.hands.work()

    def control(self, kind: str) -> None:
        self.hands.wiring.core.journal.control(self.run, kind, by="sam", reason="seen by hand")

    def duties_undone(self) -> None:
        self.submit()

        self.hands.broker.announces = False
        self.hands.work_until_death()

    def paused(self) -> None:
        self.died("begun", "send-confirmation")
        self.control("pause")

    def paused_at_once(self) -> None:
        self.submit()
        self.control("pause")

    def cancelling(self) -> None:
        self.died("called", "create-payment")
        self.control("cancel")

    def retried(self) -> None:
        self.submit(card=DECLINED)
        self.hands.work()
        self.hands.wiring.core.journal.reopen(
            self.run, "create-payment", 1, by="sam", reason="another card"
        )


def _charge() -> dict[str, Callable[[Stage], None]]:
    return {
        "ready": lambda s: s.submit(),
        "ready-with-a-run-key": lambda s: s.submit(key="order-1042"),
        "held": lambda s: s.died("claimed", "create-payment"),
        "calling-unsent": lambda s: s.died("begun", "create-payment"),
        "calling-sent": lambda s: s.died("called", "create-payment"),
        "settled": lambda s: s.undecided(),
        "next-ready": lambda s: s.died("committed", "create-payment"),
        "text-held": lambda s: s.died("claimed", "send-confirmation"),
        "text-calling-unsent": lambda s: s.died("begun", "send-confirmation"),
        "text-calling-sent": lambda s: s.died("called", "send-confirmation"),
        "text-unknown": lambda s: s.worked(match=_TEXTS, do="drop_after"),
        "waiting-after-an-outage": lambda s: s.worked(match=_CHARGES, do="status", status=503),
        "waiting-after-a-lost-answer": lambda s: s.worked(match=_CHARGES, do="drop_after"),
        "waiting-after-a-rate-limit": lambda s: s.worked(match=_CHARGES, do="status", status=429),
        "waiting-for-a-person": lambda s: s.worked(match=_TEXTS, do="status", status=401),
        "paused": lambda s: s.paused_at_once(),
        "paused-in-a-call": lambda s: s.paused(),
        "cancelling-in-a-call": lambda s: s.cancelling(),
        "retried": lambda s: s.retried(),
        "duties-undone": lambda s: s.duties_undone(),
        "succeeded": lambda s: s.worked(),
        "failed": lambda s: s.worked(match=_CHARGES, do="status", status=402),
    }


STATES: Final[dict[str, dict[str, Callable[[Stage], None]]]] = {
    "charge": _charge(),
    "dunning": {
        "ready": lambda s: s.submit(),
        "fallback-unsent": lambda s: s.died("committed", "attempt-payment"),
        "fallback-in-doubt": lambda s: s.worked(match=_TEXTS, do="drop_after"),
        "finished": lambda s: s.worked(),
    },
    "osop": {
        "ready": lambda s: s.submit(),
        "calling-sent": lambda s: s.died("called", "create_customer"),
        "succeeded": lambda s: s.worked(),
    },
    "transfer": {
        "ready": lambda s: s.submit(),
        "held": lambda s: s.died("claimed", "mintToken"),
        "succeeded": lambda s: s.worked(),
    },
}


def record(into: Path) -> list[Path]:
    """Raises FileExistsError for a release that was recorded."""
    into.mkdir(parents=True)
    rows = [(workflow, name) for workflow, states in STATES.items() for name in states]
    with tempfile.TemporaryDirectory() as folder, lab.valkey(Path(folder)) as url:
        return [_recorded(url, workflow, name, into) for workflow, name in rows]


def _recorded(url: str, workflow: str, name: str, into: Path) -> Path:
    file = into / f"{workflow}.{name}.json"
    with BackgroundSandbox() as sandbox:
        stage = Stage(url, sandbox, workflow)
        stage.hands.client.flushall()
        STATES[workflow][name](stage)
        file.write_text(json.dumps(_dumped(stage), indent=1) + "\n")
        stage.hands.close()
    return file


def _dumped(stage: Stage) -> dict[str, Any]:
    client = stage.hands.client
    passing = {f"{Keys().clock.rpartition(':')[0]}:{name}" for name in _PASSING}
    keys = sorted(key.decode() for key in client.scan_iter(f"{Keys().run('')[:9]}*"))
    return {
        "run": stage.run,
        "workflow": stage.workflow,
        "now": stage.hands.wiring.core.journal.now(),
        "keys": {key: _value(client, key) for key in keys if key not in passing},
    }


def _value(client: Any, key: str) -> dict[str, Any]:
    match client.type(key):
        case b"hash":
            found = client.hgetall(key)
            return {"hash": {k.decode(): _text(found[k]) for k in sorted(found)}}
        case b"list":
            return {"list": [_text(value) for value in client.lrange(key, 0, -1)]}
        case b"zset":
            return {"zset": {k.decode(): n for k, n in client.zrange(key, 0, -1, withscores=True)}}
        case _:
            return {"string": _text(client.get(key))}


def _text(value: bytes) -> str:
    """Sealed values begin with a byte that no text here has."""
    if value[:1] in {b"\x00", b"\x01"}:
        return "base64:" + base64.b64encode(value).decode()
    return value.decode()


def bytes_of(text: str) -> bytes:
    if text.startswith("base64:"):
        return base64.b64decode(text.removeprefix("base64:"))
    return text.encode()


def main(release: str) -> None:
    into = JOURNALS / release
    if into.exists():
        sys.exit(f"{into} is there: what a release wrote is never written again")
    for file in record(into):
        print(file)


if __name__ == "__main__":
    main(sys.argv[1])
