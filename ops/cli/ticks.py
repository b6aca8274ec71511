"""A run's events as a person follows them: a line for what happened, none for how.

Pure: an event in, lines out. Ids and codes only, as the events have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ops.cli.terminal import Symbols, plain, span
from orchestrator.engine.events import Event, outcome_of
from orchestrator.engine.state import REDIS_REWOUND, Outcome, Phase, Result

#: Waiting for a turn is worth a line from here on. ms.
_LONG: Final = 1_000
_CONTROLS: Final = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


class Ticks:
    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        #: By step: what its latest attempt came to.
        self._outcomes: dict[str, Outcome] = {}
        #: By step: the wait that was told last, so that one that goes on is told once.
        self._told: dict[str, str] = {}

    def lines(self, event: Event) -> Iterator[str]:
        f = event.fields
        match event.kind:
            case "outcome":
                yield from self._landed(f["s"], outcome_of(f))
            case "decided":
                for change in f["d"]:
                    yield from self._changed(change, event.at)
            case "limited" if f.get("st"):
                waits = f"{self._symbols.waits} {plain(f['s'])}: waiting: its provider is stopped"
                yield f"{waits} (durazzo doctor says by whom)"
            case "limited" if f.get("g"):
                yield self._waits(f["s"], f["u"] - event.at, "redis-restarted")
            case "rewound":
                self._outcomes.pop(f["s"], None)
                doubt = f"{self._symbols.unknown} {plain(f['s'])}: {REDIS_REWOUND}"
                yield f"{doubt}; Redis lost writes: looked up before it is sent"
            case "limited" if f["u"] - event.at >= _LONG:
                yield self._waits(f["s"], f["u"] - event.at, "limited")
            case "claimed" if f.get("d"):
                again = self._symbols.again
                yield f"{again} {plain(f['s'])}: taken over from a worker that died in its call"
            case "control":
                yield self._controlled(f)
            case _:
                return

    def _landed(self, step: str, outcome: Outcome) -> Iterator[str]:
        self._outcomes[step] = outcome
        if outcome.result is Result.SUCCEEDED:
            yield f"{self._symbols.done} {plain(step)} (HTTP {outcome.status})"
        elif outcome.result is Result.FINAL:
            yield self._failed(step, outcome)

    def _changed(self, change: list[Any], now: int) -> Iterator[str]:
        match change:
            case ["wait", str(step), int(until)]:
                yield from self._once(step, self._waits(step, until - now, ""))
            case ["again", str(step), int(), int(until), _]:
                after = span(until - now)
                yield f"{self._symbols.again} {plain(step)}: tried anew in {after} (onFailure)"
            case ["park", str(step), int(until)]:
                yield self._parked(step, until - now if until else 0)
            case ["close", str(step), str(phase), _]:
                yield from self._closed(step, phase)
            case _:
                return

    def _once(self, step: str, line: str) -> Iterator[str]:
        outcome = self._outcomes.get(step)
        goes_on = outcome is not None and outcome.result is Result.OPERATOR
        if not goes_on or self._told.get(step) != line:
            yield line
        self._told[step] = line

    def _waits(self, step: str, ms: int, code: str) -> str:
        outcome = self._outcomes.get(step)
        code = code or _code(outcome)
        if outcome is not None and outcome.result in {Result.TRANSIENT, Result.UNKNOWN}:
            return f"{self._symbols.again} {plain(step)}: retry in {span(ms)}: {code}"
        if outcome is not None and outcome.result is Result.UNDONE:
            return f"{self._symbols.again} {plain(step)}: not done ({code}), so it is sent"
        if outcome is not None and outcome.result is Result.OPERATOR:
            return (
                f"{self._symbols.waits} {plain(step)}: waiting for a person: {code};"
                f" tried again every {span(ms)}"
            )
        return f"{self._symbols.waits} {plain(step)}: waiting {span(ms)}: {code}"

    def _closed(self, step: str, phase: str) -> Iterator[str]:
        outcome = self._outcomes.get(step)
        if phase == Phase.UNKNOWN:
            # As journals of before there were look-ups have it.
            yield self._parked(step, 0)
        elif phase == Phase.FAILED and outcome and outcome.result is Result.TRANSIENT:
            yield self._failed(step, outcome)
        elif phase == Phase.CANCELLED:
            yield f"{self._symbols.failed} {plain(step)}: cancelled"

    def _parked(self, step: str, ms: int) -> str:
        """``ms``: until it is looked up, 0 when it will not be."""
        outcome = self._outcomes.get(step)
        unknown = f"{self._symbols.unknown} {plain(step)}: unknown: {_code(outcome)}"
        if outcome is not None and outcome.result is Result.PENDING:
            why = "the provider has not decided yet"
        else:
            why = "nobody knows whether the provider did it"
        way = f"it is looked up in {span(ms)}" if ms else "durazzo resolve says what became of it"
        return f"{unknown}; {why}: {way}"

    def _failed(self, step: str, outcome: Outcome) -> str:
        status = f", HTTP {outcome.status}" if outcome.status else ""
        return f"{self._symbols.failed} {plain(step)} failed: {_code(outcome)}{status}"

    def _controlled(self, fields: Mapping[str, Any]) -> str:
        what = _CONTROLS.get(fields["k"], fields["k"])
        why = f": {fields['why']}" if fields.get("why") else ""
        return plain(f"{self._symbols.waits} {what} by {fields['by']}{why}")


def _code(outcome: Outcome | None) -> str:
    if outcome is None:
        return "waiting"
    code = outcome.code or outcome.result.value
    return plain(f"{code} ({outcome.detail})" if outcome.detail else code)
