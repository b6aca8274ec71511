"""A document's values, conditions and outputs → nodes whose names are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from orchestrator.expressions.conditions import Parsed
from orchestrator.expressions.lexer import ExpressionInvalid, ExpressionUnsupported
from orchestrator.expressions.nodes import Array, Constant, Node, Object
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.scope import Scope, Where
from orchestrator.formats.source import Mapping, Scalar, Sequence, Tree

#: Stands for what could not be read, so that reading goes on; the plan is never used.
UNREAD: Final = Constant(None)

Parse: TypeAlias = Callable[[str], Parsed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expressions:
    """One dialect's reading; ``format`` of the scope prefixes the diagnostic codes."""

    scope: Scope
    report: Report
    #: Text of a value → node; raises ExpressionInvalid.
    template: Parse
    #: Text of a condition → node; raises ExpressionInvalid.
    condition: Parse

    def value(self, tree: Tree, step: str) -> Node:
        """Of a parameter or payload: strings may be expressions, keys are what they are."""
        match tree:
            case Scalar(value=str()):
                return self.text(tree, Where.REQUEST, step)
            case Scalar():
                return Constant(tree.value)
            case Sequence():
                return Array(tuple(self.value(item, step) for item in tree.items))
            case Mapping():
                return Object(tuple((k.text, self.value(v, step)) for k, v in tree.entries))

    def text(self, written: Scalar, where: Where, step: str) -> Node:
        return self.parsed(self.template, written, where, step)

    def outputs(
        self, written: Iterable[tuple[Scalar, Scalar]], where: Where, step: str = ""
    ) -> tuple[tuple[str, Node], ...]:
        found: list[tuple[str, Node]] = []
        for name, expression in written:
            node = self.text(expression, where, step)
            if isinstance(node, Constant) and node is not UNREAD:
                message = f"the output '{name.text}' is this very text, not an expression"
                self.report.warning(
                    f"{self.scope.format}-literal-output", message, expression.place
                )
            found.append((name.text, node))
        return tuple(found)

    def conditions(self, written: Iterable[Scalar], where: Where, step: str) -> tuple[Node, ...]:
        return tuple(self.parsed(self.condition, item, where, step) for item in written)

    def parsed(self, parse: Parse, written: Scalar, where: Where, step: str) -> Node:
        try:
            parsed = parse(written.text)
        except ExpressionInvalid as problem:
            supported = not isinstance(problem, ExpressionUnsupported)
            code = "expression" if supported else "unsupported-expression"
            self.report.error(
                f"{self.scope.format}-{code}", problem.message, written.at(problem.offset)
            )
            return UNREAD
        for note in parsed.notes:
            self.report.warning(
                f"{self.scope.format}-{note.code}", note.message, written.at(note.offset)
            )
        self.scope.check(parsed.node, written.place, self.report, where=where, step=step)
        return parsed.node
