"""Where a run stands, and what a person can do about it. Pure: words for ``durazzo show``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ops.cli.explain import find
from ops.cli.telling import Marks, age, because, by_account, safe, utc
from ops.cli.terminal import span
from ops.cli.timeline import Row
from orchestrator.engine.state import ACTIVE, Phase, Result, State, Status, Visit
from orchestrator.journal.port import Stop
from orchestrator.plan.model import HttpCall, Plan
from orchestrator.service import Report
from orchestrator.service.timeline import Entry, What

#: Late by so much, something is wrong: nobody keeps time, or no worker takes the lane. ms.
LATE: Final = 10_000
_WAITS: Final = frozenset({Phase.READY, Phase.WAITING})
NOT_GOOD: Final = frozenset({Status.FAILED, Status.CANCELLED, Status.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    report: Report
    state: State
    plan: Plan
    entries: Sequence[Entry]
    #: ms, Redis' clock.
    now: int
    key: str | None = None
    #: Providers that are stopped.
    stops: Sequence[Stop] = ()

    def head(self) -> Iterator[str]:
        """State, since when, which run."""
        report = self.report
        if report.ended:
            how_long = f" after {span(report.ended - report.accepted)}"
        else:
            how_long = f" for {age(self.now - self._since())}"
        yield f"{report.state}{how_long}: {safe(report.workflow)}, run {safe(report.run)}"
        key = f", run key {safe(self.key)}" if self.key is not None else ""
        accepted = age(self.now - report.accepted)
        lane = f"lane {safe(self.state.lane)}"
        account = by_account(self.state.accounts)
        yield f"  accepted {accepted} ago, {lane}{key}{account}{self._deadline()}"

    def advice(self) -> Iterator[str]:
        """What failed or is unknown or stuck, and what to do about it."""
        if self.report.state in NOT_GOOD and (stands := self.report.stands()):
            yield safe(stands)
        if self.report.error is not None:
            yield safe(self.report.explain()) + self._page(self.report.error_code)
        elif self.state.ending == Status.CANCELLED:
            yield self._who("cancel", "cancelled")
        elif self.report.error_code:
            yield safe(self.report.explain()) + self._page(self.report.error_code)
        for step, visit in self.state.visits.items():
            if visit.phase is Phase.UNKNOWN:
                yield from self._unknown(step, visit)
            elif visit.phase is Phase.WAITING and visit.result == Result.OPERATOR:
                yield self._for_a_person(step, visit)
        yield from self._stopped()
        yield from self._of_the_run()

    def rows(self, marks: Marks) -> Iterator[Row]:
        """What the run waits for now, by step."""
        if self.state.end:
            return
        for step, visit in self.state.visits.items():
            stopped = visit.phase is Phase.WAITING and not self.state.paused and self._stop(step)
            text = f"waits for {safe(stopped.provider)} to go on" if stopped else self._now(visit)
            if text:
                number = f" (visit {visit.number})" if visit.number > 1 else ""
                label = f"{safe(step)}{number}"
                symbol = marks.of("wait") if visit.phase is Phase.WAITING else " "
                yield Row(at=None, symbol=symbol, label=label, text=text)

    # The head.

    def _deadline(self) -> str:
        at = self.state.deadline
        if not at or self.state.end:
            return ""
        if at > self.now:
            return f", deadline in {age(at - self.now)}"
        return f", deadline {age(self.now - at)} ago"

    def _since(self) -> int:
        """Since when the run is in its state. ms, as ``now``."""
        if self.state.status is Status.UNKNOWN:
            times = [e.over for e in self.entries if e.then == Phase.UNKNOWN and self._is_latest(e)]
            return min(times, default=self.report.accepted)
        if self.state.status is Status.PAUSED:
            pauses = [e.at for e in self.entries if e.what is What.CONTROL and e.code == "pause"]
            return max(pauses, default=self.report.accepted)
        return max((e.over for e in self.entries), default=self.report.accepted)

    def _is_latest(self, entry: Entry) -> bool:
        visit = self.state.visits.get(entry.step)
        in_doubt = visit is not None and visit.phase is Phase.UNKNOWN
        return visit is not None and in_doubt and visit.number == entry.visit

    # What to do.

    def _unknown(self, step: str, visit: Visit) -> Iterator[str]:
        call = self.plan.step(step).call
        where = _host(call)
        if visit.result == Result.PENDING:
            yield f"{where} has it, and money may still move. Nothing is sent again."
        else:
            yield (f"{where} may have done it. Nothing is sent again blindly, no fallback taken.")
        calls = [e for e in self._upon(step, visit) if e.what is What.CALLED]
        sent = f" of {utc(calls[0].at)}" if calls else ""
        what = f"the {safe(call.method)}{sent} (step {safe(step)})"
        look = max((e.until for e in self._upon(step, visit) if e.then == Phase.UNKNOWN), default=0)
        if look > self.now - LATE:
            yield f"It is looked up there by itself, in {span(look - self.now)}: {what}."
        elif look:
            yield f"It was to be looked up there {age(self.now - look)} ago: {what}. {self._idle()}"
        else:
            named = shlex.quote(safe(step))
            yield f"Look there what became of {what}; say succeeded, failed or resend:"
            yield f"durazzo resolve {safe(self.report.run)} {named} --as WHAT --reason WHY"

    def _stopped(self) -> Iterator[str]:
        """Providers that the run waits for, or is about to."""
        waiting = [step for step, visit in self.state.visits.items() if visit.phase in _WAITS]
        found = dict.fromkeys(self._stop(step) for step in waiting if not self.state.end)
        for stop in filter(None, found):
            name = safe(stop.provider)
            since = f"{name} is stopped by {safe(stop.by)} since {utc(stop.at)}"
            yield f"{since}{because(stop.reason)}"
            yield f"No call to it begins until it goes on: durazzo go-on {name}"

    def _stop(self, step: str) -> Stop | None:
        provider = self.plan.step(step).call.provider
        return next((stop for stop in self.stops if stop.provider == provider), None)

    def _upon(self, step: str, visit: Visit) -> list[Entry]:
        return [e for e in self.entries if (e.step, e.visit) == (step, visit.number)]

    def _who(self, control: str, what: str) -> str:
        """Of the latest control of this kind."""
        found = [e for e in self.entries if e.what is What.CONTROL and e.code == control]
        return f"{what} by {safe(found[-1].by)}{because(found[-1].reason)}" if found else what

    def _for_a_person(self, step: str, visit: Visit) -> str:
        where = _host(self.plan.step(step).call)
        code = safe(f"{visit.code} ({visit.detail})" if visit.detail else visit.code)
        told = f"HTTP {visit.status} {code}" if visit.status else code
        what = (
            f"Put right what {where} refuses (a credential, the account)"
            if visit.status
            else "Give the workers what is missing"
        )
        return (
            f"step {safe(step)} waits for a person: {told}{self._page(visit.code)}. {what}: it is"
            " tried again by itself, and no run fails for it."
        )

    def _of_the_run(self) -> Iterator[str]:
        state, run = self.state, safe(self.report.run)
        if state.forgotten:
            yield (
                f"Its values were erased on {utc(state.forgotten)}, for good: inputs, outputs,"
                " requests, reasons and the run key. It cannot be retried."
            )
        elif state.end == Status.FAILED:
            key = " under another run key" if self.key is not None else ""
            yield f"Nothing more is sent. To try it again: durazzo retry {run}, or a new run{key}."
        elif state.end:
            return
        elif state.ending:
            yield f"It is to be {safe(state.ending)} once what is under way has landed."
        elif state.paused:
            yield f"Nothing more is begun until it is resumed: durazzo resume {run}"
        elif any(self._late(visit) >= LATE for visit in state.visits.values()):
            yield self._idle()

    def _idle(self) -> str:
        return (
            f"No worker takes it up. Is one running that works on lane {safe(self.state.lane)}?"
            " `durazzo worker` is one, `durazzo doctor` says what is missing."
        )

    @staticmethod
    def _page(code: str) -> str:
        return f" (durazzo explain {safe(code)})" if find(code) else ""

    # Now.

    def _late(self, visit: Visit) -> int:
        """Since when somebody should have taken it up. ms."""
        match visit.phase:
            case Phase.READY if visit.since:
                return self.now - visit.since
            case Phase.WAITING | Phase.HELD | Phase.CALLING:
                return self.now - visit.until
            case _:
                return 0

    def _now(self, visit: Visit) -> str:
        if visit.phase not in ACTIVE:
            return ""
        if self.state.paused and visit.phase in {Phase.READY, Phase.WAITING}:
            return "waits for the run to be resumed"
        late = self._late(visit)
        match visit.phase:
            case Phase.READY:
                return (
                    f"waits for a worker for {age(late)}" if visit.since else "waits for a worker"
                )
            case Phase.WAITING if late > 0:
                return f"was to go on {age(late)} ago"
            case Phase.WAITING:
                return f"goes on in {span(-late)}"
            case Phase.SETTLED:
                return "what came back is kept; what follows is not decided yet"
            case _ if late > 0:
                return f"its worker's time ran out {age(late)} ago: {safe(visit.worker)}"
            case _:
                return f"worked on by {safe(visit.worker)}"


def _host(call: HttpCall) -> str:
    host = safe(call.server.partition("://")[2].partition("/")[0])
    return host.rpartition("@")[2] or safe(call.provider)


__all__ = ["LATE", "NOT_GOOD", "Standing"]
