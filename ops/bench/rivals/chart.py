"""The contest as an SVG: a panel of bars for each provider and each measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from ops.bench.rivals.figures import Standing
from ops.bench.rivals.teams import Provider

#: The measures: a heading, and what a bar is long for.
_MEASURES: Final[Sequence[tuple[str, Callable[[Standing], float]]]] = (
    ("Runs a second (more is better)", lambda one: one.rate),
    ("CPU, ms a run (less is better)", lambda one: one.cpu_ms),
)
_PANEL: Final = 460
_NAMES: Final = 150
_BARS: Final = 240
_LINE: Final = 28
_HEAD: Final = 78
_GAP: Final = 20
_NOTE: Final = 20
_OWN, _OTHER, _INK, _FAINT = "#0b6e4f", "#9aa5b1", "#1f2933", "#52606d"


def chart(results: Mapping[Provider, Sequence[Standing]], notes: Sequence[str] = ()) -> str:
    """The first team of each provider is drawn in a colour of its own; the notes stand below."""
    lines = max(len(found) for found in results.values())
    height = _HEAD + lines * _LINE + _GAP
    panels = [
        _panel(column * _PANEL, row * height, f"With {provider.title}", measure, found)
        for column, (provider, found) in enumerate(results.items())
        for row, measure in enumerate(_MEASURES)
    ]
    foot = height * len(_MEASURES)
    below = [
        _text(_GAP, foot + _NOTE * (place + 1), note, _FAINT) for place, note in enumerate(notes)
    ]
    width, whole = _PANEL * len(results), foot + _NOTE * len(notes) + _GAP
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}"',
        f' width="{width}" height="{whole}" font-family="sans-serif" font-size="13" role="img">',
        "<title>Charge, then text: durazzo beside others</title>",
        f'<rect width="{width}" height="{whole}" fill="#fff"/>',
        *panels,
        *below,
        "</svg>",
        "",
    ])


def _panel(
    x: int,
    y: int,
    title: str,
    measure: tuple[str, Callable[[Standing], float]],
    found: Sequence[Standing],
) -> str:
    heading, value = measure
    longest = max(value(one) for one in found)
    bars = [
        _bar(_HEAD + place * _LINE, one.name, value(one), longest, own=not place)
        for place, one in enumerate(found)
    ]
    return "\n".join([
        f'<g transform="translate({x} {y})">',
        _text(_GAP, 32, title, _INK, ' font-weight="600"'),
        _text(_GAP, 54, heading, _FAINT),
        *(line for bar in bars for line in bar),
        "</g>",
    ])


def _bar(y: int, name: str, value: float, longest: float, *, own: bool) -> Iterator[str]:
    length = round(_BARS * value / longest, 1) if longest else 0
    middle = y + 13
    yield _text(_NAMES, middle, name, _INK, ' text-anchor="end"')
    yield (
        f'<rect x="{_NAMES + 8}" y="{y}" width="{length}" height="18" rx="2"'
        f' fill="{_OWN if own else _OTHER}"/>'
    )
    yield _text(_NAMES + 14 + length, middle, f"{value:.{0 if value >= 100 else 1}f}", _INK)  # noqa: PLR2004 - digits that matter


def _text(x: float, y: float, text: str, fill: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{fill}"{more}>{escape(text)}</text>'
