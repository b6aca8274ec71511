"""What a name means: ``inputs.x``, ``outputs.node.x``, ``node.x``, ``secrets.X``, or bare ``x``.

Published documents write four dialects of this (the reserved roots win, then
nodes, then inputs, then outputs), and ``-`` and ``_`` are one letter to them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.expressions.conditions import Dialect, Parsed, condition
from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import Constant, Input, Node, Output, Secret, StatusCode, Text
from orchestrator.expressions.references import reference
from orchestrator.formats.diagnostics import did_you_mean

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
        """Simple comparisons; this is where a CEL library will go."""
        dialect = Dialect(reference=self._in_condition, fold_case=False, double_quotes=True)
        return condition(text, dialect)

    def node(self, path: str) -> Node:
        """Raises ExpressionInvalid, with an offset from 0."""
        if not _PATH.fullmatch(path):
            raise ExpressionUnsupported(f"'{path}' is more than a name; only names are read here")
        root, *rest = _PART.findall(path)
        match root:
            case "inputs":
                return Input(_first(rest, root), _pointer(rest[1:]))
            case "secrets":
                return Secret(_first(rest, root))
            case "outputs":
                return self._output(_first(rest, root), rest[1:])
            case _ if root in _LATER:
                raise ExpressionUnsupported(f"'{root}' is not supported yet")
            case _:
                return self._bare(root, rest)

    def _in_condition(self, text: str) -> Node:
        embedded = _EMBEDDED.fullmatch(text)
        return self.node(embedded[1].strip() if embedded else text)

    def _bare(self, root: str, rest: list[str]) -> Node:
        if _alike(root, self.outputs) is not None:
            return self._output(root, rest)
        if (name := _alike(root, self.inputs)) is not None:
            return Input(name, _pointer(rest))
        holders = [(n, found) for n, o in self.outputs.items() if (found := _alike(root, o))]
        match holders:
            case [(step, name)]:
                return Output(step, name, _pointer(rest))
            case []:
                known = [*self.outputs, *self.inputs]
                raise ExpressionInvalid(f"nothing is called '{root}'{did_you_mean(root, known)}")
            case several:
                nodes = ", ".join(step for step, _ in several)
                raise ExpressionInvalid(f"'{root}' is an output of several nodes: {nodes}")

    def _output(self, node: str, rest: list[str]) -> Output:
        step = _alike(node, self.outputs)
        if step is None:
            raise ExpressionInvalid(f"there is no node '{node}'{did_you_mean(node, self.outputs)}")
        name = _first(rest, node)
        return Output(step, _alike(name, self.outputs[step]) or name, _pointer(rest[1:]))

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


def _first(parts: list[str], root: str) -> str:
    if not parts:
        raise ExpressionInvalid(f"'{root}' alone is no value; write {root}.NAME")
    return parts[0]


def _pointer(parts: list[str]) -> str:
    return "".join(f"/{part}" for part in parts)
