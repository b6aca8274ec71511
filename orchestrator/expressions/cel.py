"""CEL behind a small adapter: compile, check, evaluate. Nothing else imports the library.

The library is Google's own (cel-expr-python over cel-cpp): it type-checks, it counts
iterations, so that no condition runs long, and it gives errors as values. Where it has no
wheel, another CEL goes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from orchestrator.errors import ConditionFailed
from orchestrator.expressions.lexer import ExpressionInvalid
from orchestrator.expressions.nodes import Input, Output

#: What a condition sees; everything below them is dynamically typed.
ROOTS: Final = ("inputs", "outputs")
#: CEL's reserved words (CEL specification, "Syntax"), which name nothing.
_RESERVED: Final = frozenset((
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in",
    "let", "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
))  # fmt: skip
#: Characters of one condition.
MAX_LENGTH: Final = 4096

#: "INVALID_ARGUMENT: ERROR: <input>:1:13: Syntax error: …", one line for each problem.
_PROBLEM = re.compile(r"<input>:(\d+):(\d+): (.+)")
#: The status that begins an error's text ("NOT_FOUND: Key not found …"). The rest may hold values.
_STATUS = re.compile(r"[A-Z_]{3,32}(?=:)")


def path(node: Input | Output) -> tuple[str, ...]:
    """How a condition's text names the value: ``("outputs", "run_tests", "passed")``."""
    if isinstance(node, Input):
        return ("inputs", _identifier(node.name))
    return ("outputs", _identifier(node.step), _identifier(node.name))


def _identifier(name: str) -> str:
    """``run-tests`` would be a subtraction."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{plain}" if plain in _RESERVED or plain[:1].isdigit() else plain


def check(text: str) -> None:
    """Raises ExpressionInvalid for what does not parse, names nothing known, or is no condition."""
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"a condition has at most {MAX_LENGTH} characters")
    kind = _program(text).return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        raise ExpressionInvalid(f"a condition is true or false; this is {kind.name().lower()}")


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """``values``: JSON by root. Raises ConditionFailed where CEL gives an error, or no bool."""
    result = _evaluated(text, values)
    if result.type() == cel.Type.BOOL:
        return bool(result.value())
    if result.type() == cel.Type.ERROR:
        raise ConditionFailed(_status(str(result.value())))
    raise ConditionFailed("no-boolean")


def _evaluated(text: str, values: Mapping[str, Any]) -> Any:
    try:
        return _program(text).eval(data=values)
    except (RuntimeError, TypeError, ValueError, OverflowError) as problem:
        raise ConditionFailed(_status(str(problem))) from None


def _status(text: str) -> str:
    status = _STATUS.match(text)
    return status[0].lower().replace("_", "-") if status else "error"


@lru_cache(maxsize=1)
def _environment() -> Any:
    return cel.NewEnv(variables=dict.fromkeys(ROOTS, cel.Type.DYN))


@lru_cache(maxsize=512)
def _program(text: str) -> Any:
    try:
        return _environment().compile(text)
    except RuntimeError as problem:
        found = _PROBLEM.search(str(problem))
        if found is None:
            raise ExpressionInvalid("this is no condition that CEL reads") from None
        line, column, message = found.groups()
        offset = _offset(text, int(line), int(column))
        raise ExpressionInvalid(_readable(message), offset) from None


def _offset(text: str, line: int, column: int) -> int:
    before = text.split("\n")[: line - 1]
    return min(sum(len(part) + 1 for part in before) + column - 1, len(text))


def _readable(message: str) -> str:
    """Without the grammar's whole list of what could have stood there."""
    message = message.partition(" expecting ")[0].partition(" (in container")[0]
    return message.replace("'<EOF>'", "the end")
