"""Request bodies: media type → encoding, and texts that are JSON after all."""

from __future__ import annotations

import json
from typing import Final

from orchestrator.expressions.nodes import Array, Constant, Node, Object
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.endpoints import Provider
from orchestrator.formats.source import Mapping, Scalar, Sequence, Tree, parse
from orchestrator.plan.model import Encoding

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


def encoding_of(content_type: str, provider: Provider) -> Encoding | None:
    """None for a media type that this version cannot write."""
    media_type = content_type.split(";", 1)[0].strip().lower()
    if media_type == JSON or (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return "json"
    if media_type == FORM:
        return provider.form_style
    return "text" if media_type == "text/plain" else None


def structure_in(text: Scalar) -> Mapping | Sequence | None:
    """The object or list that a text spells out in JSON, e.g. a template of a request body."""
    if not isinstance(text.value, str):
        return None
    try:
        json.loads(text.value)
    except (ValueError, RecursionError):
        return None
    tree = _placed(parse(text.value, Report(file="", text=text.value)), text)
    return tree if isinstance(tree, Mapping | Sequence) else None


def _placed(tree: Tree | None, at: Scalar) -> Tree | None:
    """Findings inside of the text are shown where the text stands."""
    match tree:
        case Scalar():
            return Scalar(tree.value, tree.text, at.place)
        case Sequence():
            items = (_placed(item, at) for item in tree.items)
            return Sequence(tuple(item for item in items if item is not None), at.place)
        case Mapping():
            entries = ((key, _placed(value, at)) for key, value in tree.entries)
            return Mapping(
                tuple((Scalar(k.value, k.text, at.place), v) for k, v in entries if v is not None),
                at.place,
            )
        case None:
            return None


def misfit(value: Node, encoding: Encoding) -> str:
    """What the encoding wants instead of the value; "" if it fits.

    An expression's value shows itself only when it is there.
    """
    match encoding:
        case "form-brackets" | "form-repeat" if isinstance(value, Constant | Array):
            return "a form is a mapping of names to values"
        case "text" if isinstance(value, Object | Array):
            return "a text is no mapping and no list"
        case _:
            return ""
