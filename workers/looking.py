"""A look-up of a call in doubt: ask the provider, and land what it says.

    claim → look → ask → classify → commit

A look-up changes nothing at the provider, so it is no attempt, and cancelled runs are
looked up as well.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Final

import structlog

from orchestrator.engine.state import REWOUND, Outcome, Result
from orchestrator.errors import CredentialMissing, JournalUnavailable
from orchestrator.journal.port import Began, Begun, Committed, Journal, Limit, Ref
from orchestrator.policy.outcomes import Result as Reply
from workers.doubt import Doubt
from workers.held import Checkpoint, Held
from workers.landing import Landing
from workers.look_up import Question, is_cut_off, read
from workers.provider import Provider, counted, limits_of
from workers.render import FrozenRequest
from workers.told import Said, Told

log = structlog.get_logger()

NOT_FOUND: Final = "not-found"
NOT_LOOKED_UP: Final = "not-looked-up"
NOT_DONE_YET: Final = "not-done-yet"


class Looking:
    def __init__(
        self,
        *,
        journal: Journal,
        provider: Provider,
        doubt: Doubt,
        landing: Landing,
        lease_margin_ms: int,
        reached: Callable[[Checkpoint, Ref], None],
    ) -> None:
        self._journal = journal
        self._provider = provider
        self._doubt = doubt
        self._landing = landing
        self._lease_margin = lease_margin_ms
        self._reached = reached

    def look(
        self,
        held: Held,
        request: FrozenRequest,
        asked: Question,
        carried: Container[tuple[str, int]],
    ) -> Told:
        """``request``: the call in doubt."""
        early = _last_call(held) + asked.entry.settle_ms - held.now
        if asked.searches and early > 0:
            # Whoever made what may be found is not told yet.
            return self._park(held, "", carried, at_least=early)
        try:
            headers = self._provider.authorize(held, asked.request)
        except CredentialMissing as error:
            log.error("credential.missing", run=held.ref.run, problem=error.message)
            return self._park(held, error.code, carried)
        at = held.clock.monotonic_ms()
        limits = limits_of(held.profile, asked.request)
        held = replace(held, busy=counted(limits))
        try:
            begun = self._begun(held, limits)
        except JournalUnavailable:
            # It may have begun all the same, and its lease would be a call's.
            again = self._landing.reread(held)
            if again is None:
                return Told(Said.IGNORE, "lease-lost")
            return self._park(again, NOT_LOOKED_UP, carried)
        if begun.verdict is not Began.YES:
            limited = begun.verdict is Began.LIMITED
            return Told(Said.WAIT, "limited") if limited else Told(Said.IGNORE, "lease-lost")
        held = held.looked(begun, at)
        self._provider.await_turn(begun)
        self._reached(Checkpoint.LOOKING, held.ref)
        longest = held.profile.deadline_ms
        reply = self._provider.send(asked.request, headers, deadline_ms=longest)
        self._reached(Checkpoint.LOOKED, held.ref)
        return self._adopt(held, request, asked, reply, carried)

    def _begun(self, held: Held, limits: Sequence[Limit]) -> Begun:
        return self._journal.look(
            held.ref,
            held.visit.fence,
            deadline_ms=held.profile.deadline_ms + self._lease_margin,
            limits=limits,
        )

    def _adopt(
        self,
        held: Held,
        request: FrozenRequest,
        asked: Question,
        reply: Reply,
        carried: Container[tuple[str, int]],
    ) -> Told:
        """The first that is nobody else's; what cannot be told stays in doubt."""
        listed = read(asked, reply, _told_by(held, asked))
        for found in listed or ():
            if found.answer is None:
                return self._undone(held, carried)
            judgement = self._provider.judge(held, request, found.answer)
            effect = f"{held.profile.name}:{found.id}" if asked.searches else ""
            told = self._landing.land(held, judgement.outcome, carried, judgement, adopting=effect)
            if told.code != Committed.TAKEN:
                return told
        if listed is None or is_cut_off(asked, reply):
            return self._park(held, NOT_LOOKED_UP, carried)
        outcome = self._doubt.not_found(held, request, asked, NOT_FOUND)
        return self._landing.land(held, outcome, carried)

    def _undone(self, held: Held, carried: Container[tuple[str, int]]) -> Told:
        """The provider says that nothing was done, which holds for what has reached it by now.

        A call that goes on is sent again under its key, which covers one that comes late. An
        ending run sends nothing more: it is let go of after a second look, later than any call
        may take.
        """
        if held.begins_nothing and held.visit.looks < 2:  # noqa: PLR2004  this look is the first
            return self._park(held, NOT_DONE_YET, carried, at_least=held.profile.deadline_ms)
        return self._landing.land(held, Outcome(result=Result.UNDONE, delay=0), carried)

    def _park(
        self, held: Held, code: str, carried: Container[tuple[str, int]], *, at_least: int = 0
    ) -> Told:
        return self._landing.land(held, self._doubt.outcome(held, code, at_least), carried)


def _last_call(held: Held) -> int:
    """From when on nothing more is carried out of what is looked for. ms, Redis' clock.

    A call that Redis has lost began before that was found out, and may still have been under way.
    """
    if held.visit.doubt == REWOUND:
        return held.visit.rewound + held.profile.deadline_ms
    return held.visit.first


def _told_by(held: Held, asked: Question) -> int:
    """As of when the answer is read: what was made later than any such call is another's."""
    if held.visit.doubt == REWOUND:
        return min(held.now, _last_call(held) + asked.entry.settle_ms)
    return held.now
