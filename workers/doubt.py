"""A call that may have been executed: whether it is sent again, looked up, or left to a person."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from orchestrator.clock import Entropy
from orchestrator.engine.state import LOST, REDIS_REWOUND, REWOUND, Outcome, Result
from orchestrator.policy import idempotency
from orchestrator.policy.look_up import next_look_ms
from orchestrator.policy.outcomes import Kind, Verdict
from orchestrator.policy.retry import delay_ms
from workers.held import Held
from workers.look_up import Question, question
from workers.render import FrozenRequest

ANSWER_LOST: Final = "answer-lost"
#: A call that nobody can be asked about is not sent again before this: it may still go on. ms.
RESEND_PAUSE: Final = 30_000


class Doubt:
    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def may_resend(self, held: Held) -> bool:
        """Whether the same bytes may go out once more.

        Asked at every send: a run may have been paused for longer than its key lives. How
        often is asked only of a lost call; the other attempts were judged when they ended.
        """
        if held.begins_nothing or held.request is None:
            return False
        if held.visit.doubt == LOST:
            lost = Verdict(kind=Kind.UNKNOWN, code="")
            return self.delay(held, held.request, lost) >= 0
        again = held.visit.again and not held.is_up()
        return bool(again) or _key_holds(held, held.request)

    def asked(self, held: Held) -> Question | None:
        """How the call is looked up.

        None when another send under its key says more, or when nothing can be asked.
        """
        if held.request is None:
            return None
        asked = question(held.profile, held.request, held.visit)
        # A key that holds gives the very answer back, but what is pending would stay as it was.
        pending = held.visit.subject or held.visit.result == Result.PENDING
        if pending or held.begins_nothing or asked is None:
            return asked
        return None if self.may_resend(held) else asked

    def outcome(self, held: Held, code: str = "", at_least: int = 0) -> Outcome:
        """Nobody knows what became of the call; when it is looked up next, if it can be.

        ``code``: "" for why it is in doubt at all. ``at_least``: not before, in ms.
        """
        code = code or (REDIS_REWOUND if held.visit.doubt == REWOUND else ANSWER_LOST)
        look = self.next_look(held, held.request) if held.request is not None else -1
        wait = max(look, at_least) if look >= 0 else look
        return Outcome(result=Result.UNKNOWN, code=code, look=wait, subject=held.visit.subject)

    def unsearchable(self, held: Held) -> Outcome:
        """Of a call in doubt about which nobody can be asked."""
        outcome = self.outcome(held)
        return self.again(held, held.request, outcome) if held.request else outcome

    def again(
        self, held: Held, request: FrozenRequest, outcome: Outcome, *, stop: bool = False
    ) -> Outcome:
        """The outcome, sent again after a pause where the step wants that and nothing can be asked.

        ``stop``: the provider says that another send is useless.
        """
        if outcome.result is not Result.UNKNOWN or outcome.delay >= 0:
            return outcome
        visit = replace(held.visit, subject=outcome.subject or held.visit.subject)
        if question(held.profile, request, visit) is not None:
            return outcome
        return self._sent_again(held, request, outcome, pause_ms=RESEND_PAUSE, stop=stop)

    def not_found(self, held: Held, request: FrozenRequest, asked: Question, code: str) -> Outcome:
        """Of a look-up that found nothing: sent again where the step wants that.

        And where nobody knows of any call: Redis has lost some writes, and for nearly all that
        might have been among them, most likely nothing was sent at all. A lost answer is of a call
        that was made.
        """
        if asked.searches and held.visit.doubt == REWOUND:
            return Outcome(result=Result.UNDONE, code=code, delay=0)
        outcome = self.outcome(held, code)
        # A call whose worker died may be too young to be found: the next look says more.
        if not asked.searches or held.visit.doubt == LOST:
            return outcome
        return self._sent_again(held, request, outcome)

    def _sent_again(
        self,
        held: Held,
        request: FrozenRequest,
        outcome: Outcome,
        *,
        pause_ms: int = 0,
        stop: bool = False,
    ) -> Outcome:
        wanted = held.step.when_unknown == "resend" and not held.begins_nothing
        path = urlsplit(request.url).path
        if not wanted or held.profile.moves_money(request.method, path):
            return outcome
        delay = delay_ms(
            held.profile.retry,
            attempt=held.visit.attempts,
            verdict=Verdict(kind=Kind.UNKNOWN, code="", stop=stop),
            jitter=self._entropy.uniform(),
        )
        if delay is None or held.is_up(max(delay, pause_ms)):
            return outcome
        return replace(outcome, delay=max(delay, pause_ms), again=True)

    def next_look(
        self, held: Held, request: FrozenRequest, subject: str = "", *, resend: bool = True
    ) -> int:
        """Milliseconds to the next look, -1 for none.

        ``resend``: whether another send under a key that holds may say what became of it.
        """
        visit = replace(held.visit, subject=subject or held.visit.subject)
        asked = question(held.profile, request, visit)
        resend = resend and not held.begins_nothing
        if asked is None and not (resend and _key_holds(held, request)):
            return -1
        looks = visit.looks + max(0, visit.attempts - held.profile.retry.max_attempts)
        settle = asked.entry.settle_ms if asked and asked.searches else 0
        return next_look_ms(looks, self._entropy.uniform(), settle_ms=settle)

    def delay(self, held: Held, request: FrozenRequest, verdict: Verdict) -> int:
        """Milliseconds to the next send of these bytes, -1 for none."""
        if verdict.kind is Kind.UNKNOWN and not _key_holds(held, request):
            return -1
        delay = delay_ms(
            held.profile.retry,
            attempt=held.visit.attempts,
            verdict=verdict,
            jitter=self._entropy.uniform(),
            elapsed_ms=max(0, held.now - held.first),
        )
        return -1 if delay is None else delay


def _key_holds(held: Held, request: FrozenRequest) -> bool:
    return idempotency.may_resend(
        held.profile,
        method=request.method,
        keyed=request.key is not None,
        first_sent_ms=held.first,
        now_ms=held.now,
    )
