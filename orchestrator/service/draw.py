"""Draw: a plan as a Mermaid flowchart, for a person to look at. Pure.

The same plan gives the same text. Solid ways follow a success, dashed ones a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from orchestrator.expressions.nodes import Text
from orchestrator.plan.graph import Graph
from orchestrator.plan.model import Choice, End, Goto, Plan, Retry, Route, Step

#: Mermaid draws no more than this unless its page is told to: ``maxTextSize``, ``maxEdges``.
MAX_TEXT: Final = 50_000
MAX_EDGES: Final = 500

#: Longer texts end with an ellipsis. Characters.
LABEL: Final = 80

_START, _OK, _FAILED = "start", "succeeded", "failed"
#: A box's rows are not broken, and a loop's label has room between two boxes.
_LOOK: Final = '%%{init: {"flowchart": {"wrappingWidth": 720, "rankSpacing": 70}}}%%'
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))
_CLASSES: Final = (
    "classDef ok fill:#dafbe1,stroke:#1a7f37,color:#0f3d1e",
    "classDef bad fill:#ffebe9,stroke:#cf222e,color:#5c0f14",
    "classDef join stroke-width:3px",
)
#: What neither Mermaid's grammar, its directives, its Markdown nor HTML reads as its own.
_SAFE: Final = re.compile(r"[^\W_]|(?<=\w)[_.](?=\w)|[ $/,=+?'(){}!…-]")
#: Icons and formulas, which Mermaid draws however their characters are written: parted.
_DRAWN: Final = re.compile(r"fa[a-z]?:(?=fa-)|\$(?=\$)")
_NO_SPACE: Final = "\u200b"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    source: str
    target: str
    label: str = ""
    failed: bool = False
    #: It goes without saying: no document writes it.
    faint: bool = False

    def __str__(self) -> str:
        arrow = "-.->" if self.failed else "-->"
        label = f'|"{self.label}"|' if self.label else ""
        return f"{self.source} {arrow}{label} {self.target}"


def mermaid(plan: Plan) -> str:
    """The flowchart's text, with a line feed at its end.

    Whatever stands in the document's names and expressions is shown as text: it ends no label
    and is no markup.
    """
    drawing = _Drawing(plan)
    ways = [
        *(_Way(source=_START, target=drawing.names[start]) for start in plan.starts),
        *(way for step in plan.steps for way in drawing.ways(step)),
    ]
    faint = ",".join(str(number) for number, way in enumerate(ways) if way.faint)
    lines = [
        f'{_START}(["{_shown(plan.name)}"])',
        *(drawing.box(step) for step in plan.steps),
        *(f'{end}(["{end}"]):::{kind}' for end, kind in ((_OK, "ok"), (_FAILED, "bad"))),
        *map(str, ways),
        *_CLASSES,
        *([f"linkStyle {faint} opacity:0.4"] if faint else []),
    ]
    return "\n".join([_LOOK, "flowchart TD", *(f"  {line}" for line in lines)]) + "\n"


class _Drawing:
    def __init__(self, plan: Plan) -> None:
        self._graph = Graph(plan, "")
        #: A step's own id could be a word of Mermaid's ("end").
        self.names = {step.id: f"s{number}" for number, step in enumerate(plan.steps, 1)}

    def box(self, step: Step) -> str:
        server = urlsplit(step.call.server)
        path = f"{server.path}{Text(step.call.path)}"
        # Without what stands before an @: it could be a password.
        host = server.netloc.rpartition("@")[2]
        rows = [f"{step.call.method} {path}", f"{host} ({step.call.provider})"]
        rows += [f"joins {', '.join(step.awaits)}"] if step.awaits else []
        rows += ["when unknown: sent again"] if step.when_unknown == "resend" else []
        rows += [] if self._loop_label(step) else [loop.says for loop in _loops(step)]
        text = "<br/>".join([f"<b>{_shown(step.id)}</b>", *map(_shown, rows)])
        shape = f'[["{text}"]]:::join' if step.awaits else f'["{text}"]'
        return self.names[step.id] + shape

    def ways(self, step: Step) -> Iterator[_Way]:
        name = self.names[step.id]
        if loops := _loops(step):
            failed = all(loop.failed for loop in loops)
            yield _Way(source=name, target=name, label=self._loop_label(step), failed=failed)
        yield from self._side(step, step.success, end=_OK)
        yield from self._side(step, step.failure, end=_FAILED)

    def _side(self, step: Step, choices: Sequence[Choice], *, end: str) -> Iterator[_Way]:
        source, failed = self.names[step.id], end == _FAILED
        for choice in choices:
            for number, route in enumerate(choice.routes):
                words = [_condition(route, number)]
                match route.then:
                    case Goto(step=target, cap=cap, redo=redo) if target != step.id:
                        words += ["unless it can only fail again"] if redo else []
                        words += [_cap(cap)] if self._graph.goes_back(step.id, target) else []
                        target = self.names[target]
                    case End():
                        target = end
                    case _:
                        continue
                label = "<br/>".join(map(_shown, filter(None, words)))
                yield _Way(source=source, target=target, label=label, failed=failed)
        if not any(_always(route) for choice in choices for route in choice.routes):
            label = "else" if choices else ""
            faint = failed and not choices
            yield _Way(source=source, target=end, label=label, failed=failed, faint=faint)

    @staticmethod
    def _loop_label(step: Step) -> str:
        """Mermaid has room for a short one; longer ones, and several, stand in the box."""
        match _loops(step):
            case [_Loop(condition="", says=says)]:
                return _shown(says)
            case _:
                return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """A route by which a step follows on itself."""

    condition: str
    limit: str
    failed: bool

    @property
    def says(self) -> str:
        return ", ".join(filter(None, [self.condition, self.limit]))


def _loops(step: Step) -> list[_Loop]:
    return [
        _Loop(condition=_condition(route, number), limit=limit, failed=failed)
        for failed, choices in ((False, step.success), (True, step.failure))
        for choice in choices
        for number, route in enumerate(choice.routes)
        if (limit := _loop_limit(step, route))
    ]


def _loop_limit(step: Step, route: Route) -> str:
    match route.then:
        case Retry(limit=limit, after_ms=after):
            return f"retry {_times(limit, 'time')}, {_span(after)} later"
        case Goto(step=step.id, cap=cap):
            return f"again, {_cap(cap)}"
        case _:
            return ""


def _condition(route: Route, number: int) -> str:
    """``number``: of the routes of one choice, the first that holds is taken."""
    found = f"if {' and '.join(map(str, route.when))}" if route.when else ""
    return " ".join(filter(None, ["else" if number else "", found]))


def _cap(visits: int) -> str:
    return f"at most {_times(visits, 'visit')}"


def _always(route: Route) -> bool:
    """Nothing is left for what comes behind it."""
    match route.then:
        case Retry() | Goto(redo=True):
            return False
        case _:
            return not route.when


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _span(ms: int) -> str:
    for unit, size in _UNITS:
        if ms >= size and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms / 1000:g} s"


def _shown(text: str) -> str:
    """The text on one line, of a length that can be read, with nothing in it but text."""
    line = " ".join(text[: 2 * LABEL].split())
    cut = line if len(line) <= LABEL else line[: LABEL - 1].rstrip() + "…"
    cut = _DRAWN.sub(rf"\g<0>{_NO_SPACE}", cut)
    return "".join(c if _SAFE.match(cut, at) else _entity(c) for at, c in enumerate(cut))


def _entity(character: str) -> str:
    """As Mermaid writes it: ``#34;`` for a quotation mark."""
    shown = character.isprintable() or character == _NO_SPACE
    return f"#{ord(character)};" if shown else "\ufffd"
