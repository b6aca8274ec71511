"""How a timeline's entries are worded: the ticks' words, where there are some. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ops.cli.terminal import ASCII, UNICODE, Symbols, plain, span
from orchestrator.engine.advance import DEADLINE_PASSED
from orchestrator.engine.state import Phase, Result
from orchestrator.service.timeline import (
    LOST,
    PROVIDER_GOES_ON,
    PROVIDER_PAUSED,
    PROVIDER_STOPPED,
    RATE_LIMIT,
    REDIS_RESTARTED,
    Entry,
    Then,
    What,
)

#: Waiting for a turn is worth a line from here on, and so is a slow answer. ms.
LONG: Final = 1_000
#: Of what a person gave as a reason.
_REASON: Final = 300
_CONTROLS: Final = {
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "retry": "retried",
    "forget": "its values were erased",
}
_WORDS: Final = {
    "succeeded": "succeeded", "final": "failed", "undone": "not done, and sent again",
}  # fmt: skip
#: As ``workers.looking`` has it.
NOT_FOUND: Final = "not-found"
_RESULTS: Final = frozenset(result.value for result in Result)
_WHY: Final = {
    RATE_LIMIT: ": rate limit",
    PROVIDER_PAUSED: ": its provider is paused",
    REDIS_RESTARTED: ": Redis was restarted, and every worker says first what it remembers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    symbols: Symbols
    arrow: str
    rest: str

    def of(self, what: str) -> str:
        """The symbol of a state, or of what follows."""
        match what:
            case Phase.SUCCEEDED:
                return self.symbols.done
            case Phase.FAILED | Phase.CANCELLED:
                return self.symbols.failed
            case Phase.UNKNOWN:
                return self.symbols.unknown
            case Then.RETRY | Then.ANEW | "resume":
                return self.symbols.again
            case Then.PERSON | "wait" | "pause":
                return self.symbols.waits
            case _:
                return " "

    def colour(self, symbol: str) -> str | None:
        s = self.symbols
        colours = {s.done: "green", s.failed: "red", s.unknown: "magenta"}
        return colours.get(symbol, "yellow" if symbol in {s.again, s.waits} else None)


_UNICODE: Final = Marks(symbols=UNICODE, arrow="→", rest="…")
_ASCII: Final = Marks(symbols=ASCII, arrow="->", rest="...")


def marks(symbols: Symbols) -> Marks:
    return _UNICODE if symbols == UNICODE else _ASCII


def symbol(entry: Entry, marks: Marks) -> str:
    match entry.what:
        case What.CONTROL:
            return marks.of(Phase.CANCELLED if entry.code == "cancel" else entry.code)
        case What.TAKEN_OVER | What.SENT_AGAIN:
            return marks.of(Then.RETRY)
        case What.WAITS | What.JOIN_WAITS:
            return marks.of("wait")
        case _:
            return marks.of(entry.then)


def text(entry: Entry, marks: Marks) -> str:
    match entry.what:
        case What.CALLED | What.LOOKED_UP | What.NOT_CALLED:
            return _attempt(entry, marks)
        case What.WAITS | What.TAKEN_OVER | What.SENT_AGAIN | What.CLOSED | What.REWOUND:
            return _between(entry, marks)
        case What.JOIN_WAITS | What.JOINED:
            return _joining(entry)
        case What.ACCEPTED:
            deadline = f", to be done by {utc(entry.until)}" if entry.until else ""
            return f"accepted {utc(entry.at)}{deadline}"
        case What.CONTROL | What.RESOLVED:
            return _controlled(entry)
        case What.ENDING:
            late = "the deadline has passed: " if entry.code == DEADLINE_PASSED else ""
            return f"{late}to be {safe(entry.then)} once what is under way has landed"
        case What.ENDED:
            return safe(f"{entry.then}: {entry.code}" if entry.code else entry.then)
        case What.OTHER:
            detail = f": {safe(entry.detail)}" if entry.detail else ""
            return f"{safe(entry.code)} (not known to this release){detail}"


def _attempt(entry: Entry, marks: Marks) -> str:
    numbered = entry.attempt > 1 or entry.then == Then.RETRY or entry.result == LOST
    number = f" (attempt {entry.attempt})" if numbered and entry.what is What.CALLED else ""
    slow = entry.took >= LONG and entry.result != LOST
    after = f" after {span(entry.took)}" if slow else ""
    did = f", {safe(entry.effect.told)}" if entry.effect else ""
    match entry.what:
        case What.CALLED:
            return f"called{number} {marks.arrow} {answer(entry)}{after}{did}{_then(entry)}"
        case What.LOOKED_UP:
            return f"looked up {marks.arrow} {_found(entry)}{after}{did}{_then(entry)}"
        case _:
            again = " again" if entry.attempt else ""
            return f"not called{again}: {code_of(entry)}{_then(entry)}"


def answer(entry: Entry) -> str:
    if not entry.result:
        return "no answer yet"
    if entry.result == LOST:
        return "its worker died in the call"
    if not entry.status:
        return f"no answer: {code_of(entry)}"
    own = f" {code_of(entry)}" if entry.code not in {"", f"http-{entry.status}"} else ""
    strange = "" if entry.result in _RESULTS else f" ({safe(entry.result)})"
    return f"HTTP {entry.status}{own}{strange}"


def _found(entry: Entry) -> str:
    match entry.result:
        case Result.SUCCEEDED:
            return "it was done"
        case "undone":
            return "nothing was found" if entry.code == NOT_FOUND else "nothing was done"
        case Result.FINAL:
            return f"it was refused: {code_of(entry)}"
        case Result.UNKNOWN if entry.code == NOT_FOUND:
            return "nothing was found"
        case Result.UNKNOWN:
            return f"it does not say: {code_of(entry)}"
        case _:
            return answer(entry)


def _then(entry: Entry) -> str:
    """What was decided upon the outcome."""
    wait = span(entry.until - entry.over)
    match entry.then:
        case Then.RETRY if entry.result == Result.UNDONE and entry.code == NOT_FOUND:
            return ", so it is sent"
        case Then.RETRY if entry.again:
            return f", sent again in {wait} as the document asks (when-unknown: resend)"
        case Then.RETRY:
            key = ", same key" if entry.result == Result.UNKNOWN else ""
            return f", retry in {wait}{key}"
        case Then.ANEW:
            return f"; tried anew in {wait} (onFailure)"
        case Then.PERSON:
            return f"; waiting for a person, again in {wait}"
        case Phase.SUCCEEDED:
            back = [(step, visit) for step, visit in entry.next if visit > entry.visit]
            return f"; back to {_visits(back, entry)}" if back else ""
        case _:
            return _ended(entry)


def _ended(entry: Entry) -> str:
    match entry.then:
        case "":
            return ""
        case Phase.FAILED if entry.next:
            return f"; fallback to {_visits(entry.next, entry)}"
        case Phase.FAILED if entry.result == Result.TRANSIENT:
            return "; no attempt left: failed"
        case Phase.UNKNOWN:
            return f"; unknown{_doubt(entry)}"
        case then:
            return f"; {safe(then)}"


def _doubt(entry: Entry) -> str:
    wait = span(entry.until - entry.over) if entry.until > entry.over else ""
    if entry.what is What.LOOKED_UP:
        return f" as before, again in {wait}" if wait else " as before: a person has to look"
    pending = entry.result == Result.PENDING
    what = ": money may still move" if pending else " whether the provider did it"
    return f"{what}, look-up in {wait}" if wait else what


def _between(entry: Entry, marks: Marks) -> str:
    """What happens to a step while nothing is sent."""
    match entry.what:
        case What.WAITS if entry.code == PROVIDER_STOPPED:
            return "waits until its provider goes on: it is stopped"
        case What.WAITS if entry.code == PROVIDER_GOES_ON:
            return f"its provider goes on: called in {span(entry.until - entry.at)}"
        case What.WAITS:
            return f"waits {span(entry.until - entry.at)}{_WHY.get(entry.code, '')}"
        case What.REWOUND:
            return "Redis lost writes: looked up before it is sent"
        case What.TAKEN_OVER:
            when = "in its call" if entry.result == LOST else "before it sent anything"
            return f"taken over from {safe(entry.by) or 'a worker'}, which died {when}"
        case What.SENT_AGAIN:
            return f"message lost (nobody took it up for {span(entry.took)}): sent again"
        case _:
            fallback = f", {marks.arrow} {_visits(entry.next, entry)}" if entry.next else ""
            doubt = _doubt(entry) if entry.then == Phase.UNKNOWN else ""
            again = " before another call" if entry.attempt else " before it was called"
            early = again if entry.then == Phase.CANCELLED else ""
            return f"{safe(entry.then)}{early}{doubt}{fallback}"


def _joining(entry: Entry) -> str:
    arrived = safe(", ".join(entry.arrived))
    if entry.what is What.JOINED:
        return f"goes on: {arrived} came"
    still = f"; may still come: {safe(', '.join(entry.awaited))}" if entry.awaited else ""
    return f"waits for the others: {arrived} came{still}"


def _controlled(entry: Entry) -> str:
    by = f" by {safe(entry.by)}" if entry.by else ""
    if entry.what is What.CONTROL:
        at = f" from {_visits([(entry.step, entry.visit)], entry)}" if entry.step else ""
        what = f"{_CONTROLS.get(entry.code, safe(entry.code))}{at}{by}"
    else:
        following = _then(entry) if entry.next else ""
        what = f"resolved{by} as {_WORDS.get(entry.result, safe(entry.result))}{following}"
    return f"{what}{because(entry.reason)}"


def because(reason: str) -> str:
    shown = safe(reason)
    cut = f"{shown[:_REASON]}..." if len(shown) > _REASON else shown
    return f": {cut}" if cut else ""


def by_account(accounts: str) -> str:
    """Behind the rest of a line: ", account stripe=eu"."""
    return f", account {safe(accounts.replace(',', ' and '))}" if accounts else ""


def code_of(entry: Entry) -> str:
    code = entry.code or entry.result
    return safe(f"{code} ({entry.detail})" if entry.detail else code)


def _visits(entered: Iterable[tuple[str, int]], entry: Entry) -> str:
    """With their numbers, where these are not what one expects after the entry's own."""
    named = (f"{s} (visit {n})" if n > 1 and n != entry.visit else s for s, n in entered)
    return safe(", ".join(named))


def safe(text: str) -> str:
    """On one line, whatever it is."""
    return plain(" ".join(text.split("\n")))


def utc(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def elapsed(ms: int) -> str:
    """A distance on the timeline, in its two largest units, cut and not rounded."""
    seconds = max(ms, 0) // 1000
    if seconds < 10:  # noqa: PLR2004
        return f"{max(ms, 0) // 100 / 10:.1f} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min {seconds % 60:02} s" if minutes else f"{seconds} s"


def age(ms: int) -> str:
    """How long ago: "4 s", "12 min", "3 h 5 min", "12 d"."""
    seconds = max(ms, 0) // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h" if days < 10 and hours % 24 else f"{days} d"  # noqa: PLR2004
    if hours:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min" if minutes else f"{seconds} s"


__all__ = [
    "LONG", "Marks", "age", "answer", "because", "code_of", "elapsed", "marks", "safe", "symbol",
    "text", "utc",
]  # fmt: skip
