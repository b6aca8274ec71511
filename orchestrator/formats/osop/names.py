"""What a name means: ``inputs.x``, ``outputs.node.x``, ``node.x``, ``secrets.X``, or bare ``x``.

Published documents write four dialects of this (the reserved roots win, then
nodes, then inputs, then outputs), and ``-`` and ``_`` are one letter to them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from orchestrator.expressions.conditions import Parsed
from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import Constant, Input, Node, Output, Secret, StatusCode, Text
from orchestrator.expressions.references import reference
from orchestrator.formats.diagnostics import did_you_mean
from orchestrator.formats.osop.condition import condition

_LATER: Final = ("env", "metadata", "loop", "event", "variables")
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+|\[[0-9]+\])*")
_PART = re.compile(r"[\w-]+")
_EMBEDDED = re.compile(r"\$\{([^{}]*)\}")
#: In addresses, ``/posts/{post_id}`` means the same as ``/posts/${post_id}``.
_IN_ADDRESS = re.compile(r"\$?\{([^{}]*)\}")
_BODY = re.compile(r"(?:data|body|response|\$)(?=[.\[]|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    #: Output names by node id.
    outputs: Mapping[str, Collection[str]]
    #: Names of declared inputs.
    inputs: Collection[str]

    def template(self, text: str) -> Parsed:
        """Raises ExpressionInvalid, with the offset in ``text``."""
        return self._filled(text, _EMBEDDED)

    def address(self, text: str) -> Parsed:
        return self._filled(text, _IN_ADDRESS)

    def condition(self, text: str) -> Parsed:
        """Raises ExpressionInvalid, with the offset in ``text``."""
        return Parsed(node=condition(text, self._in_condition, self._is_name))

    def node(self, path: str) -> Node:
        """Raises ExpressionInvalid, with an offset from 0."""
        if not _PATH.fullmatch(path):
            raise ExpressionUnsupported(f"'{path}' is more than a name; only names are read here")
        parts = tuple(_PART.findall(path))
        if parts[0] == "secrets":
            return Secret(_second(parts))
        node, taken = self._resolved(parts)
        return replace(node, pointer="".join(f"/{part}" for part in parts[taken:]))

    def _resolved(self, parts: tuple[str, ...]) -> tuple[Input | Output, int]:
        """The value that a dotted name begins with, and how many of its parts that took."""
        root = parts[0]
        match root:
            case "inputs":
                return Input(_second(parts)), 2
            case "outputs":
                return self._output(parts[1:], root), 3
            case _ if root in _LATER:
                raise ExpressionUnsupported(f"'{root}' is not supported yet")
            case _ if _alike(root, self.outputs) is not None:
                return self._output(parts, root), 2
            case _:
                return self._bare(root), 1

    def _in_condition(self, parts: tuple[str, ...]) -> tuple[Input | Output, int]:
        if parts[0] == "secrets":
            raise ExpressionInvalid("a secret is no condition: it can only stand in a header")
        return self._resolved(parts)

    def _is_name(self, name: str) -> bool:
        return _alike(name, self._all()) is not None

    def _all(self) -> tuple[str, ...]:
        outputs = (output for names in self.outputs.values() for output in names)
        return (*self.outputs, *self.inputs, *outputs)

    def _bare(self, root: str) -> Input | Output:
        if (name := _alike(root, self.inputs)) is not None:
            return Input(name)
        holders = [(n, found) for n, o in self.outputs.items() if (found := _alike(root, o))]
        match holders:
            case [(step, name)]:
                return Output(step, name)
            case []:
                hint = did_you_mean(root, self._all())
                raise ExpressionInvalid(f"nothing is called '{root}'{hint}")
            case several:
                nodes = ", ".join(step for step, _ in several)
                raise ExpressionInvalid(f"'{root}' is an output of several nodes: {nodes}")

    def _output(self, parts: tuple[str, ...], root: str) -> Output:
        """Of a node and its output's name."""
        node = parts[0] if parts else _second((root,))
        step = _alike(node, self.outputs)
        if step is None:
            raise ExpressionInvalid(f"there is no node '{node}'{did_you_mean(node, self.outputs)}")
        name = _second(parts)
        return Output(step, _alike(name, self.outputs[step]) or name)

    def _filled(self, text: str, pattern: re.Pattern[str]) -> Parsed:
        whole = pattern.fullmatch(text)
        if whole is not None:
            return Parsed(node=self._at(whole))
        parts: list[Node] = []
        end = 0
        for match in pattern.finditer(text):
            parts.extend((Constant(text[end : match.start()]), self._at(match)))
            end = match.end()
        kept = tuple(p for p in (*parts, Constant(text[end:])) if p != Constant(""))
        if all(isinstance(p, Constant) for p in kept):
            return Parsed(node=Constant(text))
        return Parsed(node=Text(kept))

    def _at(self, match: re.Match[str]) -> Node:
        try:
            return self.node(match[1].strip())
        except ExpressionInvalid as problem:
            raise problem.moved(match.start(1)) from problem


def begins_in_answer(text: str) -> bool:
    return "${" in text or text.startswith("headers.") or _BODY.match(text) is not None


def answer_path(text: str) -> Node:
    """``data.id``, ``$.a.b[0]``, ``headers.X``, ``status_code``: of a node's own answer.

    ``data`` is the parsed body itself (axios' word for it), even of a body that has a
    member of that name. Raises ExpressionInvalid.
    """
    if text in {"status_code", "status"}:
        return StatusCode()
    if text.startswith("headers."):
        return reference("$response.header" + text.removeprefix("headers"))
    root = _BODY.match(text)
    if root is None:
        raise ExpressionInvalid(f'a path begins with the answer\'s body, e.g. "data.{text}"')
    try:
        return reference("$response.body" + text[root.end() :])
    except ExpressionInvalid as problem:
        raise ExpressionUnsupported(f"'{text}' is more than a path of names") from problem


def _alike(name: str, known: Collection[str]) -> str | None:
    """The known name itself, or the one that differs in ``-`` and ``_`` only."""
    if name in known:
        return name
    return next((k for k in known if k.replace("-", "_") == name.replace("-", "_")), None)


def _second(parts: tuple[str, ...]) -> str:
    if len(parts) == 1:
        raise ExpressionInvalid(f"'{parts[0]}' alone is no value; write {parts[0]}.NAME")
    return parts[1]
