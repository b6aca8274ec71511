"""Plan ↔ canonical JSON, and the digest that names it.

Every dataclass goes out as ``{"": "ClassName", field: value, …}`` without fields that
have their default; keys are sorted, so equal plans have equal bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields, is_dataclass
from typing import Any, Final, Never

from orchestrator.errors import NewerRelease
from orchestrator.expressions import nodes
from orchestrator.plan import model

#: Bumped, with engine/state.py's, when the bytes change meaning; a worker leaves versions that it
#: does not know.
VERSION: Final = 1

_CLASSES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        model.Plan, model.InputSchema, model.Step, model.Choice, model.Route, model.Goto,
        model.Retry, model.End, model.HttpCall, model.Body,
        nodes.Constant, nodes.Input, nodes.Output, nodes.StatusCode, nodes.ResponseBody,
        nodes.ResponseHeader, nodes.RequestPart, nodes.Secret, nodes.Text, nodes.Array,
        nodes.Object, nodes.Compare, nodes.And, nodes.Or, nodes.Not, nodes.Cel,
    )
}  # fmt: skip


class PlanUnreadable(NewerRelease):
    """Parts that this release does not know: left to one that does, as any newer plan is."""

    code = "plan-unreadable"


def encode(plan: model.Plan) -> bytes:
    return _dumps({"v": VERSION, "plan": _plain(plan)})


def decode(data: bytes) -> model.Plan:
    """Raises NewerRelease for bytes of a higher version, PlanUnreadable for no plan at all."""
    try:
        document = json.loads(data)
        version, plain = document["v"], document["plan"]
    except (ValueError, TypeError, KeyError):
        raise PlanUnreadable("these bytes are not a plan") from None
    if version != VERSION:
        _refuse(version)
    plan = _object(plain)
    if not isinstance(plan, model.Plan):
        raise PlanUnreadable("these bytes are not a plan")
    return plan


def _refuse(version: object) -> Never:
    if isinstance(version, int) and version > VERSION:
        raise NewerRelease(
            f"this plan was written by a newer release of durazzo (version {version}, this one"
            f" reads {VERSION}), and is left to it: update this process"
        )
    raise PlanUnreadable(f"these bytes are not a plan of version {VERSION}")


def digest(data: bytes) -> str:
    """128 bits of SHA-256 in hex: names a plan in keys and listings."""
    return hashlib.sha256(data).hexdigest()[:32]


def _dumps(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    plain: dict[str, object] = {"": type(value).__name__}
    for field in fields(value):
        item = getattr(value, field.name)
        if field.default is NO_DEFAULT or item != field.default:
            plain[field.name] = _plain(item)
    return plain


def _object(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_object(item) for item in value)
    if not isinstance(value, dict):
        return value
    cls = _CLASSES.get(value.get("", ""))
    if cls is None:
        raise PlanUnreadable(f"unknown part {value.get('')!r} in a plan")
    try:
        return cls(**{name: _object(item) for name, item in value.items() if name})
    except TypeError:
        raise PlanUnreadable(f"{cls.__name__} of this plan has other parts than expected") from None
