"""What the contest found, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ops.bench.rivals.death import Aftermath
from ops.bench.rivals.teams import Provider, Round, Shape
from ops.bench.tables import Cell, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Medians over all rounds. The ratios are medians of each round's: the first team's is 1."""

    name: str
    shape: Shape
    rate: float
    slowest: float
    fastest: float
    ratio: float
    cpu_ms: float
    cpu_ratio: float
    #: Runs a second; None where nothing is submitted.
    submitted: float | None


def standings(
    names: Sequence[str], shapes: Sequence[Shape], played: Sequence[Sequence[Round]]
) -> list[Standing]:
    """``played``: for each round, a team's round in the order of ``names``."""
    return [
        _standing(name, shape, [rounds[place] for rounds in played], [one[0] for one in played])
        for place, (name, shape) in enumerate(zip(names, shapes, strict=True))
    ]


def _standing(name: str, shape: Shape, own: Sequence[Round], first: Sequence[Round]) -> Standing:
    rates = [one.rate for one in own]
    return Standing(
        name=name,
        shape=shape,
        rate=median(rates),
        slowest=min(rates),
        fastest=max(rates),
        ratio=median(a.rate / b.rate for a, b in zip(own, first, strict=True)),
        cpu_ms=median(one.cpu_ms for one in own),
        cpu_ratio=median(a.cpu_ms / b.cpu_ms for a, b in zip(own, first, strict=True)),
        submitted=_submitted(own),
    )


def _submitted(own: Sequence[Round]) -> float | None:
    if not all(one.submitting for one in own):
        return None
    return median(one.runs / one.submitting for one in own)


def show(provider: Provider, found: Sequence[Standing]) -> None:
    print(f"\nWith {provider.title}, at most {provider.at_once} calls under way\n")
    head = ("", "runs/s", "worst", "best", "ratio", "CPU ms a run", "ratio", "submitted/s", "shape")
    rows: list[list[Cell]] = [
        [
            one.name, one.rate, one.slowest, one.fastest, one.ratio, one.cpu_ms, one.cpu_ratio,
            "none" if one.submitted is None else one.submitted, str(one.shape),
        ]
        for one in found
    ]  # fmt: skip
    print(table(head, rows), flush=True)


def show_deaths(found: Mapping[str, Aftermath]) -> None:
    print("\nA worker killed after the text was sent and before its answer came, then started\n")
    rows: list[list[Cell]] = [
        [name, one.charges, one.texts, one.seconds] for name, one in found.items()
    ]
    print(table(("", "charges", "texts", "ended after, s"), rows))
