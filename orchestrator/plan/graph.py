"""What a plan's routes say about order: lookups, ways back, and segments. Built once a plan."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import cached_property

from orchestrator.plan.model import Goto, Plan, Step

#: A chain's message carries all of its rest: longer chains cost more than they save.
SEGMENT_STEPS = 8


class Graph:
    def __init__(self, plan: Plan, digest: str) -> None:
        self.plan = plan
        self.digest = digest
        self.steps: dict[str, Step] = {step.id: step for step in plan.steps}
        self._back = self._ways_back()

    def goes_back(self, source: str, target: str) -> bool:
        """Whether this way closes a loop: its target lies on the way to its source."""
        return (source, target) in self._back

    def is_fresh(self, step: str, visit: int, send: int) -> bool:
        """Whether this is one of its run's very first messages."""
        return visit == send == 1 and step in self.plan.starts

    def segment(self, start: str) -> tuple[str, ...]:
        """Steps from ``start`` on that follow one another with no decision between them."""
        found = [start]
        while len(found) < SEGMENT_STEPS:
            following = self._only_successor(found[-1])
            if following is None or following in found:
                break
            found.append(following)
        return tuple(found)

    def leads(self, source: str, targets: AbstractSet[str], *, around: str) -> bool:
        """Whether some target can still follow on ``source``, or is it, without ``around``."""
        found, frontier = {source}, [source]
        while frontier:
            step = frontier.pop()
            if step in targets:
                return True
            fresh = {*self.steps[step].targets()} - found - {around}
            found |= fresh
            frontier.extend(fresh)
        return False

    def behind(self, step: str) -> set[str]:
        """The steps that can still follow on this one: itself only if it is part of a loop."""
        found: set[str] = set()
        frontier = [*self.steps[step].targets()]
        while frontier:
            target = frontier.pop()
            if target not in found:
                found.add(target)
                frontier.extend(self.steps[target].targets())
        return found

    @cached_property
    def joins(self) -> tuple[Step, ...]:
        return tuple(step for step in self.plan.steps if step.awaits)

    def _only_successor(self, step_id: str) -> str | None:
        choices = self.steps[step_id].success
        if len(choices) != 1 or len(choices[0].routes) != 1:
            return None
        route = choices[0].routes[0]
        if route.when or not isinstance(route.then, Goto):
            return None
        target = self.steps[route.then.step]
        return None if target.awaits or self.goes_back(step_id, target.id) else target.id

    def _ways_back(self) -> frozenset[tuple[str, str]]:
        """Edges of a depth-first walk that lead to a step still open on the walk's own way."""
        found: set[tuple[str, str]] = set()
        done: set[str] = set()
        for start in self.plan.starts:
            way = {start: iter(self.steps[start].targets())}
            while way:
                source, rest = next(reversed(way.items()))
                target = next(rest, None)
                if target is None:
                    done.add(source)
                    del way[source]
                elif target in way:
                    found.add((source, target))
                elif target not in done:
                    way[target] = iter(self.steps[target].targets())
        return frozenset(found)
