"""Deliberate mistakes: a storm that does not catch them would not catch a real one either.

Nothing here is reached but by ``--break``. Each is patched into the worker's own process, and
says by an AttributeError when what it breaks is not there any more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from ops.chaos.schedule import Kind
from ops.chaos.workflows import WORKFLOWS
from orchestrator.admission import Admission
from orchestrator.driver import Driver
from orchestrator.engine.advance import advance
from orchestrator.engine.events import apply, outcome_landed
from orchestrator.engine.state import IN_FLIGHT, Outcome, Result
from orchestrator.journal import scripts
from orchestrator.journal.batches import Batch
from orchestrator.journal.port import Began, Ref, Settlement
from orchestrator.journal.redis import RedisJournal
from orchestrator.policy import idempotency
from orchestrator.policy.outcomes import Answer, NoAnswer
from workers.http import Caller
from workers.process import Process
from workers.pulse import Pulse
from workers.timekeeper import Timekeeper
from workers.told import Told

#: Where the calls of Stripe are found, whatever the server's address.
_STRIPE: Final = "https://api.stripe.com/"
#: A moment in which a mistake can be made is made longer, or a short storm would miss it. s.
_WIDE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    #: What a worker does wrong with it.
    says: str
    apply: Callable[[], None]
    #: The storm that shows it: of ``schedule.Options``.
    storm: Mapping[str, Any] = field(default_factory=dict)


def swap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """``make`` gets what is there. Raises AttributeError when nothing is."""
    setattr(owner, name, make(getattr(owner, name)))


def _no_fence() -> None:
    def begin(real: Any) -> Any:
        def begun(self: Any, ref: Ref, fence: int, *, deadline_ms: int, **more: Any) -> Any:
            # Troubles are to find it here, between the claim and a call that has no key.
            time.sleep(_WIDE if ref.step == WORKFLOWS["charge-and-text"].texts else 0)
            said = real(self, ref, fence, deadline_ms=deadline_ms, **more)
            if said.verdict is not Began.LOST:
                return said
            until = said.now + deadline_ms
            return replace(said, verdict=Began.YES, attempt=1, first=said.now, until=until)

        return begun

    swap(RedisJournal, "begin", begin)
    swap(Pulse, "alive", lambda _real: lambda _self: True)


def _new_key() -> None:
    def fresh(real: Any) -> Any:
        def call(self: Any, request: Any, *, headers: Any, **more: Any) -> Any:
            named = [
                (name, uuid4().hex if name.lower() == "idempotency-key" else value)
                for name, value in headers
            ]
            return real(self, request, headers=named, **more)

        return call

    swap(Caller, "call", fresh)


def _rendered_again() -> None:
    def other(real: Any) -> Any:
        def call(self: Any, request: Any, **more: Any) -> Any:
            if request.body and request.url.startswith(_STRIPE):
                sent = f"&metadata[sent]={time.time_ns()}".encode()
                request = replace(request, body=request.body + sent)
            return real(self, request, **more)

        return call

    swap(Caller, "call", other)


def _resend_blindly() -> None:
    swap(idempotency, "may_resend", lambda _real: lambda *_args, **_more: True)


def _lost_is_refused() -> None:
    def refused(real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            reply = real(*args, **more)
            lost = isinstance(reply, NoAnswer) and reply.stage == "sent"
            return Answer(status=400, headers={}, body={"code": 1}) if lost else reply

        return call

    swap(Caller, "call", refused)


def _callback_concludes() -> None:
    def slow(real: Any) -> Any:
        def call(self: Any, request: Any, **more: Any) -> Any:
            reply = real(self, request, **more)
            time.sleep(_WIDE / 3 if request.url.endswith("/confirm") else 0)
            return reply

        return call

    def concluding(real: Any) -> Any:
        def fall_back(self: Process, ref: Ref) -> Told:
            core = self.wiring.core
            state, now = core.journal.read(ref.run), core.journal.now()
            visit = state.visits.get(ref.step) if state else None
            if state and visit and visit.number == ref.visit and visit.phase in IN_FLIGHT:
                outcome = Outcome(result=Result.FINAL, code="worker-lost", matched="0")
                event = outcome_landed(at=now, step=ref.step, visit=visit, outcome=outcome)
                landed = apply(state, event)
                decision = advance(core.plans.graph(state.plan), landed, now)
                settlement = Settlement(event=event, visit=landed.visits[ref.step])
                core.journal.commit(ref, visit.fence, settlement, decision)
            told: Told = real(self, ref)
            return told

        return fall_back

    swap(Caller, "call", slow)
    swap(Process, "fall_back", concluding)


def _no_duties() -> None:
    swap(Driver, "pay", lambda _real: lambda *_args: None)


def _no_memory() -> None:
    swap(RedisJournal, "_remembered", lambda _real: lambda _self: ["", "", 0])


def _no_timekeeper() -> None:
    swap(Timekeeper, "tick", lambda _real: lambda _self: False)


def _no_stand_check() -> None:
    # Who admits looks first and writes then: in between another is to do the same.
    def slow(real: Any) -> Any:
        def judged(self: Admission, batch: Batch, rows: Any) -> Any:
            found = real(self, batch, rows)
            time.sleep(_WIDE / 2)
            return found

        return judged

    swap(Admission, "_judged", slow)
    _rewrite("admit", "if tonumber(h[1]) ~= first then", "if false then")
    _rewrite("admit", "if row.key ~= '' and", "if false and")
    _rewrite("admit", "if fresh > 0 and", "if false and")


def _counted_twice() -> None:
    def slow(real: Any) -> Any:
        def settle(self: RedisJournal, run: str, *args: Any) -> Any:
            # So late that the timekeeper has done it: not for all, and not when it does.
            mine = threading.current_thread() is threading.main_thread()
            time.sleep(4 * _WIDE if mine and run.endswith("0") else 0)
            return real(self, run, *args)

        return settle

    swap(RedisJournal, "settle", slow)
    _rewrite("settle", "if redis.call('HDEL', KEYS[1], 'outbox') == 0 then", "if false then")


def _rewrite(script: str, old: str, new: str) -> None:
    def rewritten(real: Any) -> Any:
        def source(name: str) -> str:
            text: str = real(name)
            if name != script:
                return text
            if text.count(old) != 1:
                raise AttributeError(f"{script}.lua has no {old!r}")
            return text.replace(old, new)

        return source

    swap(scripts, "source", rewritten)


#: No trouble but lost answers.
_CALM: Final[Mapping[str, Any]] = {
    "runs": 120, "kills": 0, "redis_kills": 0, "cuts": 0, "limited": False,
}  # fmt: skip
_BATCH: Final[Mapping[str, Any]] = {**_CALM, "batch": True, "window": 20}

MUTATIONS: Final[Mapping[str, Mutation]] = {
    "no-fence": Mutation(
        says="an overtaken worker does not notice, neither by its fence nor by its own clock",
        apply=_no_fence,
        # No backlog: whoever takes over does so while the other is still frozen.
        storm={
            **_CALM, "runs": 70, "workers": 3, "kills": 24, "storm": 60.0,
            "only": (Kind.FREEZE,),
        },
    ),
    "new-key": Mutation(
        says="every send has an idempotency key of its own", apply=_new_key, storm=_CALM
    ),
    "rendered-again": Mutation(
        says="every send has bytes of its own, under one key", apply=_rendered_again, storm=_CALM
    ),
    "resend-blindly": Mutation(
        says="whatever was lost is sent again, key or no key", apply=_resend_blindly, storm=_CALM
    ),
    "lost-is-refused": Mutation(
        says="a call without an answer has failed", apply=_lost_is_refused, storm=_CALM
    ),
    "callback-concludes": Mutation(
        says="the error callback takes a dead worker's step for failed",
        apply=_callback_concludes,
        # Leases outlast the time after which Celery gives a child up.
        storm={
            **_CALM, "workflow": "osop", "runs": 150, "kills": 16, "only": (Kind.CHILD,),
            "heartbeat": 20.0,
        },
    ),
    "no-duties": Mutation(
        says="a finished run's duties are never done", apply=_no_duties, storm=_CALM
    ),
    "no-memory": Mutation(
        says="nobody remembers what Redis has lost with its power",
        apply=_no_memory,
        storm={**_CALM, "runs": 300, "redis_kills": 10, "power_cuts": True},
    ),
    "no-timekeeper": Mutation(
        says="nobody sends again what nobody drives",
        apply=_no_timekeeper,
        storm={**_CALM, "kills": 6, "only": (Kind.WORKER,), "minutes": 1.5},
    ),
    "no-stand-check": Mutation(
        says="rows are admitted wherever their batch stands meanwhile",
        apply=_no_stand_check,
        # Rows that have become runs twice may never come to rest.
        storm={**_BATCH, "minutes": 1},
    ),
    "counted-twice": Mutation(
        says="a batch counts a run as often as its duties are done",
        apply=_counted_twice,
        storm={**_BATCH, "runs": 60},
    ),
}  # fmt: skip
