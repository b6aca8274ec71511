"""The verdict: what the books say beside what the runs say of themselves. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ops.chaos.books import Account, Books, answer_lost, refused
from ops.chaos.findings import Finding
from ops.chaos.journals import Span, Story
from ops.chaos.schedule import Customer, Kind
from ops.chaos.storm import Struck
from ops.chaos.tally import Tally
from ops.chaos.workflows import Workflow
from orchestrator.clock import time_of
from orchestrator.engine.state import Phase, Status
from orchestrator.service.inspect import SETTLED

#: After a trouble's end the next heartbeat may be so late. ms.
_ECHO: Final = 3_000
#: From a call's begin in the journal: until its worker knows of it, and until it is sent. ms.
_ROUND_TRIP: Final = 100
_SENDING: Final = 1_000
_NEVER: Final = 2**63
#: So long Redis puts its writing off, and the ids' clock may be another's. ms.
_PUT_OFF: Final = 2_500
_EXCUSES: Final = frozenset(Kind) - {Kind.TERM, Kind.LIMIT}
#: Who begins a call and then makes none, and lives, knows that there is nothing to be in doubt
#: of: a request on a stalled line arrives in the end.
_BEFORE_ASKING: Final = _EXCUSES - {Kind.STALL}
#: Of a Celery result, for a client that waits.
_RESULTS: Final[Mapping[Status, str]] = {
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILURE",
    Status.CANCELLED: "REVOKED",
}
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A call that nobody knows the outcome of, and why that is so."""

    run: str
    step: str
    code: str
    attempts: int
    #: "" when nothing explains it.
    excuse: str
    #: What the books have of it: "done", "not done", or "never asked" when not even a request.
    books: str

    def as_json(self) -> dict[str, object]:
        return {
            "run": self.run, "step": self.step, "code": self.code, "attempts": self.attempts,
            "excuse": self.excuse, "books": self.books,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    findings: Sequence[Finding]
    unknowns: Sequence[Unknown]
    #: Runs by how they stand.
    states: Mapping[str, int]
    charged: int
    texted: int
    #: Of runs whose acceptance Redis has lost, where it may: their customers may have another.
    excused: Sequence[Finding] = ()

    @property
    def ok(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """What is known; ``verdict`` says what follows."""

    workflow: Workflow
    books: Books
    stories: Sequence[Story]
    struck: Sequence[Struck]
    #: Every run that the journal has, whoever asked for it.
    known: Collection[str]
    problems: Sequence[str]
    #: Sends of one call before policy gives up, by provider.
    attempts: Mapping[str, int]
    #: By run, the customer's number: runs under a key that stood for another, and accepted runs
    #: that were unheard of later.
    others: Mapping[str, int] = field(default_factory=dict)
    unheard: Mapping[str, int] = field(default_factory=dict)
    #: Power was cut, and nobody waited for the disk: what was accepted may be lost.
    forgetful: bool = False
    #: When Redis was killed that had not written all that it had acknowledged: as by a power cut,
    #: what was accepted just before may be lost. ms since the epoch.
    unwritten: Sequence[int] = ()
    #: Where the runs are the rows of one.
    tally: Tally | None = None

    def verdict(self) -> Verdict:
        unknowns = [found for story in self.stories for found in self._unknowns(story)]
        findings = [*self._of_all(), *(f for story in self.stories for f in self._of_run(story))]
        findings += [_unexplained(found) for found in unknowns if _is_finding(found)]
        if self.tally is not None:
            findings += self.tally.findings(self.stories, self.books)
        accounts = self.books.accounts.values()
        forgotten = {customer.key for customer in self._forgotten()}
        return Verdict(
            findings=[found for found in findings if found.customer not in forgotten],
            excused=[found for found in findings if found.customer in forgotten],
            unknowns=unknowns,
            states=Counter(str(s.state.status) if s.state else "lost" for s in self.stories),
            charged=sum(len(account.charges) for account in accounts),
            texted=sum(len(account.texts) for account in accounts),
        )

    def _forgotten(self) -> Sequence[Customer]:
        """Whose run was accepted, and is lost with that."""
        gone = [story for story in self.stories if story.state is None]
        return [s.customer for s in gone if self.forgetful or self._was_unwritten(s.run)]

    def _was_unwritten(self, run: str) -> bool:
        return any(at - _PUT_OFF <= time_of(run) <= at + _ROUND_TRIP for at in self.unwritten)

    # All together.

    def _of_all(self) -> Iterator[Finding]:
        accounts = [self.books.accounts[customer.number] for customer in self._forgotten()]
        excused = {
            "charges": sum(max(0, len(account.charges) - 1) for account in accounts),
            "messages": sum(max(0, len(account.texts) - 1) for account in accounts),
        }
        for kind, number in self.books.duplicates.items():
            if number > excused.get(kind, 0):
                yield Finding(code=f"duplicate-{kind}", says=f"the books have {number}")
        for stranger in self.books.strangers:
            yield Finding(code="nobodys", says=f"it belongs to no customer: {stranger}")
        for problem in self.problems:
            yield Finding(code="submitting", says=problem)
        yield from self._of_runs()

    def _of_runs(self) -> Iterator[Finding]:
        keys = {story.customer.number: story.customer.key for story in self.stories}
        for runs, says in (
            (self.others, "its key had stood for another run"),
            (self.unheard, "it was accepted and is unheard of"),
        ):
            for run, number in sorted(runs.items()):
                yield Finding(code="submitting", says=says, run=run, customer=keys[number])
        own = {*(story.run for story in self.stories), *self.others}
        for run in sorted(set(self.known) - own):
            yield Finding(code="second-run", says="nobody was told of this run", run=run)

    # One run.

    def _of_run(self, story: Story) -> Iterator[Finding]:
        account = self.books.accounts[story.customer.number]
        for code, says in (
            *_lost(story),
            *_repeated(account),
            *self._steps(story, account),
            *_failed(story),
            *_told(story, account),
            *self._sent_again(account),
        ):
            yield Finding(code=code, says=says, run=story.run, customer=story.customer.key)

    def _steps(self, story: Story, account: Account) -> Iterator[tuple[str, str]]:
        yield from _effect(story, self.workflow.charges, len(account.charges), "charge")
        if self.workflow.texts:
            yield from _effect(story, self.workflow.texts, len(account.texts), "text")

    def _sent_again(self, account: Account) -> Iterator[tuple[str, str]]:
        """A text after one whose fate nobody knew, and nobody looked it up in between."""
        for first, second in zip(account.asked, account.asked[1:], strict=False):
            looked = any(first["at"] < at < second["at"] for at in self.books.looked_up)
            if not refused(first) and not looked:
                yield "sent-again", "a text was asked for once more, though it may have gone out"

    # What is unknown.

    def _unknowns(self, story: Story) -> Iterator[Unknown]:
        if story.report is None:
            return
        for row in story.report.steps:
            if row.state == Phase.UNKNOWN:
                yield Unknown(
                    run=story.run,
                    step=row.step,
                    code=row.code,
                    attempts=row.attempts,
                    excuse=self._excuse(story, row.step, row.attempts),
                    books=self._in_books(story, row.step),
                )

    def _in_books(self, story: Story, step: str) -> str:
        account = self.books.accounts[story.customer.number]
        if step == self.workflow.texts:
            return "done" if account.texts else "not done" if account.asked else "never asked"
        charged = step == self.workflow.charges and account.charges
        return "done" if charged else "not done"

    def _excuse(self, story: Story, step: str, attempts: int) -> str:
        if step != self.workflow.texts:
            return self._gave_up(story, attempts)
        account = self.books.accounts[story.customer.number]
        if any(answer_lost(row) for row in account.asked):
            return "the provider's answer was lost"
        spans = [span for span in story.spans() if span.step == step]
        moments = (_answering(span) if account.asked else _asking(span) for span in spans)
        excuses = _EXCUSES if account.asked else _BEFORE_ASKING
        kinds = (
            kind
            for span, moment in zip(spans, moments, strict=True)
            if moment and (kind := self._struck_in(moment, span.pid, excuses))
        )
        return next(kinds, "")

    def _gave_up(self, story: Story, attempts: int) -> str:
        """A call with a key is decided by sending it again, until policy says that it is enough."""
        if story.state is not None and story.state.ending:
            return "the run was on its way to its end"
        return "out of attempts" if attempts >= self.attempts["stripe"] else ""

    def _struck_in(self, moment: tuple[int, int], pid: int, excuses: Container[Kind]) -> str:
        """The trouble that may have taken a call's answer, or kept it from the journal."""
        begun, ended = moment
        for blow in self.struck:
            meets = blow.at <= ended and begun <= blow.until
            concerns = blow.strike.what is Kind.REDIS or pid in blow.pids
            if blow.hit and blow.strike.what in excuses and meets and concerns:
                return str(blow.strike.what)
        return ""


def _answering(span: Span) -> tuple[int, int] | None:
    """When a call's answer may be lost, or who waits for it lose its lease."""
    if span.called is None:
        return None
    return span.begun - _ECHO, span.ended or _NEVER


def _asking(span: Span) -> tuple[int, int] | None:
    """When who began a call may be kept from making it."""
    if span.called is None:
        return None
    return span.called - _ROUND_TRIP, span.called + _SENDING


def _lost(story: Story) -> Iterator[tuple[str, str]]:
    if story.state is None:
        yield "lost", "it was accepted, and the journal has it no more"
        return
    status = story.state.status
    if status not in SETTLED:
        steps = {step: str(visit.phase) for step, visit in story.state.visits.items()}
        yield "unfinished", f"it is {status}: {steps}"
    if not story.folds:
        yield "does-not-fold", "its events do not come to its state"
    if (wanted := _RESULTS.get(status)) and story.result != wanted:
        yield "no-result", f"it has {status}, and a Celery client is told {story.result}"


def _repeated(account: Account) -> Iterator[tuple[str, str]]:
    if len(account.charges) > 1:
        yield "charged-twice", f"the customer was charged {len(account.charges)} times"
    if len(account.texts) > 1:
        yield "texted-twice", f"the customer was texted {len(account.texts)} times"


def _effect(story: Story, step: str, found: int, what: str) -> Iterator[tuple[str, str]]:
    """A step says what stands: one effect when it succeeded, none when it did not."""
    phase = story.phase(step)
    if phase == Phase.SUCCEEDED and not found:
        yield f"no-{what}", f"{step} has succeeded, and the books have no {what}"
    elif phase in {"", Phase.FAILED, Phase.CANCELLED} and found:
        said = phase or "never begun"
        yield f"{what}-denied", f"{step} is {said}, and the books have a {what}"


def _told(story: Story, account: Account) -> Iterator[tuple[str, str]]:
    """Whatever became of a run that ended, it names what stands at the providers, and no more."""
    if story.report is None or story.state is None or not story.state.end:
        return
    named = {effect.id for effect in story.report.effects}
    stands = {row["payment_intent"] for row in account.charges}
    stands |= {row["sid"] for row in account.texts}
    if stands - named:
        yield "not-told", f"it is {story.report.state}, and does not tell {sorted(stands - named)}"
    if named - stands:
        yield "told-falsely", f"it tells {sorted(named - stands)}, which the books do not have"


def _failed(story: Story) -> Iterator[tuple[str, str]]:
    """Nobody's run fails but by a declined card, or by a provider that refused all along."""
    report = story.report
    if report is None or report.state != Status.FAILED:
        return
    declined = story.customer.declined and report.error_code == "card_declined"
    limited = report.error is not None and report.error.status == _TOO_MANY
    if not declined and not limited:
        yield "failed-unrefused", f"{report.explain()}, and no provider refused it"


def _is_finding(found: Unknown) -> bool:
    """A call that was begun and never sent harms nobody by its doubt: it is listed, no more.

    Which trouble came between is not always to be told from what was struck when.
    """
    return not found.excuse and found.books != "never asked"


def _unexplained(found: Unknown) -> Finding:
    says = (
        f"{found.step} is unknown ({found.code}) after {found.attempts} attempts,"
        " and no answer was lost"
    )
    return Finding(code="unknown-unexplained", says=says, run=found.run)
