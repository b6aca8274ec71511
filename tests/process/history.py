"""What befalls customers of a house, all of it in a few seconds, and what of theirs is private."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.lab import CHECKOUT
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.journal.redis_archive import WAIT
from orchestrator.plan.model import Plan
from orchestrator.service import Run, cancel, pause, resolve, submit
from orchestrator.wiring import connect
from tests.process.house import (
    CHARGE_AND_TEXT,
    DECLINED,
    DUNNING,
    OSOP_PAYMENT,
    TOKEN_AND_PAYMENT,
    House,
    osop_with,
    plan_of,
    wait_for,
)  # fmt: skip
from tests.process.scan import always, bare
from tests.process.test_trouble import PUBLISHED_WORDS

KEYS = Keys()
PATIENCE = 60
#: More digits than times and durations have in common by chance.
AMOUNT = 27182845
PAYER: Mapping[str, Json] = {
    "psuName": "Augusta Byron-King", "psuEmail": "augusta@byron.example",
    "state": "state-of-augusta", "amount": "93871.46", "communication": "Invoice of Augusta",
    "requestId": "1c0ffee0-9dad-11d1-80b4-00c04fd430c8",
}  # fmt: skip
REASON = "Zacharias Quill rang up"
RUN_KEY = "zacharias.quill@shop.example/1042"
ORDER = "order of zoe-{}@shop.example"
#: A lane that no worker works: what was sent to it stays in the broker.
QUIET = "quiet"
FIELDS = (
    "order", "amount", "currency", "paymentMethod", "accountSid", "toPhone", "fromPhone",
)  # fmt: skip
#: Of providers that repeat what they were sent, in prose and where a code should be.
ECHOES = ("21606", "{To}", "{Digits}", "{Body}")


@dataclass(slots=True)
class History:
    home: House
    words: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    #: Ids of tasks that succeeded.
    tasks: set[str] = field(default_factory=set)
    #: What commands said beside their results.
    stderr: str = ""

    def note(self, inputs: Mapping[str, Json]) -> None:
        for name, value in inputs.items():
            if name != "currency" and len(str(value)) > 4:
                self.words[f"{name} {bare(str(value))[-12:]}"] = bare(str(value))

    def submit(
        self,
        plan: Plan,
        inputs: Mapping[str, Json],
        *,
        key: str | None = None,
        lane: str | None = None,
    ) -> Run:
        self.note(inputs)
        run = submit(self.home.wiring.core, plan, inputs, key=key, lane=lane)
        self.runs.append(run)
        return run

    def charge(self, **changes: Json) -> Run:
        return self.submit(plan_of(CHARGE_AND_TEXT), self.home.charge_inputs(**changes))

    def command(self, *words: str, given: str = "", code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", *words],
            env=self.home.environ, cwd=CHECKOUT, input=given, capture_output=True, text=True,
            timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        self.stderr += done.stderr
        return done.stdout


def before(history: History) -> None:
    """While nobody works: a paused run, a cancelled one, one that stays in the broker."""
    core = history.home.wiring.core
    history.words |= always(history.home) | {
        "why": REASON, "run key": RUN_KEY, "amount": str(AMOUNT), "amount as told": "271,828.45",
        "amount by its point": "271828.45", "a row's key": ORDER.partition("{")[0],
    }  # fmt: skip
    paused, left = history.charge(), history.charge()
    pause(core, paused.id, by="sam", reason=REASON)
    cancel(core, left.id, by="sam", reason=REASON)
    inputs = history.home.charge_inputs()
    history.submit(plan_of(CHARGE_AND_TEXT), inputs, lane=QUIET)


def live(history: History) -> None:
    """With a worker: what ends well, what is declined, a batch, trouble, and what comes after."""
    calm(history)
    trouble(history)
    earn(history)
    after(history)


def calm(history: History) -> None:
    home = history.home
    paid = history.submit(
        plan_of(CHARGE_AND_TEXT), home.charge_inputs(amount=AMOUNT), key=RUN_KEY
    )  # fmt: skip
    ends = {
        paid: "succeeded",
        history.charge(paymentMethod=DECLINED): "failed",
        history.submit(osop_with(DECLINED), {}): "failed",
        history.submit(
            plan_of(DUNNING, "failed-payment-dunning-real"), home.dunning_inputs()
        ): "succeeded",
    }  # fmt: skip
    batch(history)
    assert {run: run.wait(PATIENCE) for run in ends} == ends
    history.tasks |= {f"{paid.id}.{step}.1.1" for step in ("create-payment", "send-confirmation")}


def batch(history: History) -> None:
    home = history.home
    file = home.folder / "rows.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        for number in range(4):
            inputs = home.charge_inputs(paymentMethod=DECLINED if number == 2 else "pm_card_visa")
            history.note(inputs)
            writer.writerow({"order": ORDER.format(number), **inputs})
    words = ("batch", "start", str(CHARGE_AND_TEXT), "--data", str(file), "--key", "order", "--yes")
    history.command(*words, code=1)


def trouble(history: History) -> None:
    """An outage, answers that repeat the request, and one that is lost and found by a person."""
    home = history.home
    home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents", "do": "status", "status": 503},
        *(echo(history, code) for code in ECHOES),
        {"match": "POST /twilio/*", "do": "drop_after"},
    ])
    runs = [history.charge() for _ in range(len(ECHOES) + 2)]
    ends = {run: run.wait(PATIENCE) for run in runs}
    assert sorted(ends.values()) == ["failed"] * len(ECHOES) + ["succeeded", "unknown"]
    (doubt,) = (run for run, end in ends.items() if end == "unknown")
    resolve(
        home.wiring.core, doubt.id, "send-confirmation", "succeeded", by="sam", reason=REASON,
        outputs={"messageSid": "SM1"},
    )  # fmt: skip
    assert doubt.wait(PATIENCE) == "succeeded"


def echo(history: History, code: str) -> dict[str, object]:
    """A refusal that holds what was sent; ``code`` as the provider's own."""
    phone = history.home.phone()
    history.note({"echoed": phone})
    sent = {"To": phone, "Digits": bare(phone), "Body": PUBLISHED_WORDS}
    body = {"code": code.format(**sent), "message": f"{sent} was refused", "more_info": sent}
    return {"match": "POST /twilio/*", "do": "status", "status": 400, "body": body}


def earn(history: History) -> None:
    """What the providers gave back: a payment's client secret, an access token; and a receipt."""
    home, journal = history.home, history.home.wiring.core.journal
    receipt = history.submit(plan_of(OSOP_PAYMENT), {})
    transfer = history.submit(
        plan_of(TOKEN_AND_PAYMENT, "token-then-payment-real"), home.transfer_inputs(**PAYER)
    )
    assert [run.wait(PATIENCE) for run in (receipt, transfer)] == ["succeeded", "succeeded"]
    made = journal.outputs(receipt.id, ["create_intent", "send_receipt"])
    secrets = {
        "client secret": str(made["create_intent"]["client_secret"]),
        "access token": str(transfer.report().outputs["accessToken"]),
    }
    history.words |= secrets | {
        "receipt": str(made["send_receipt"]["text"]).splitlines()[0],
        **{f"text {n}": m["body"] for n, m in enumerate(home.ledger()["messages"])},
    }
    assert all(history.words.values())
    for run in (receipt, transfer):
        told = history.command("show", run.id, "--outputs", "--events")
        assert not any(secret in told for secret in secrets.values())


def after(history: History) -> None:
    """What is over is put away, some of it forgotten; a provider is stopped; a stranger errs."""
    home = history.home
    charged = next(run for run in history.runs if run.key() == RUN_KEY)
    forgotten = next(run for run in history.runs if run.status() == "failed")
    wrong = json.dumps({**home.charge_inputs(), "amount": str(history.words["run key"])})
    history.command("forget", "--run", forgotten.id, "--yes", "--reason", "request 17")
    history.command("stop-all", "fintecture", "--reason", REASON)
    history.command("start", str(CHARGE_AND_TEXT), "--inputs", "-", given=wrong, code=3)
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.incrby(KEYS.clock, WAIT)
        wait_for(lambda: not client.zcard(KEYS.ended), "putting runs away", seconds=PATIENCE)
        assert client.exists(KEYS.done(charged.id))
    if home.environ.get("DURAZZO_SEAL") != "off":
        history.command("keys", "rotate")
    history.command("runs")


__all__ = ["QUIET", "REASON", "RUN_KEY", "History", "before", "live"]
