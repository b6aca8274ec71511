"""Which of a step's routes hold: what the holder of its answer tells the engine. Pure."""

from __future__ import annotations

from orchestrator.engine.advance import routes_text
from orchestrator.expressions.evaluate import Context, holds
from orchestrator.plan.model import Choice, Goto, Route


def matched(choices: tuple[Choice, ...], context: Context, *, lasting: bool = False) -> str:
    """As ``Outcome.matched`` has it. Raises ConditionFailed.

    ``lasting``: doing the same again can only fail again.
    """
    return routes_text(
        [
            index
            for index, route in enumerate(choice.routes)
            if not (lasting and _redoes(route)) and all(holds(node, context) for node in route.when)
        ]
        for choice in choices
    )


def _redoes(route: Route) -> bool:
    return isinstance(route.then, Goto) and route.then.redo
