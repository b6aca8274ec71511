"""Copies, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.engine.changed import changed
from orchestrator.engine.state import Phase, State, Visit

VISIT = Visit(number=2, phase=Phase.READY, since=5, fence=3, effects="charged pi_1 1999 usd")
STATE = State(
    plan="p", name="n", lane="l", accepted=1, seq=4, visits={"a": VISIT, "b": VISIT},
    arrivals={"c": ("a",)}, paused=True, ending="failed", code="declined",
)  # fmt: skip


def test_a_changed_copy_is_what_dataclasses_make_of_it() -> None:
    copy = changed(VISIT, phase=Phase.HELD, until=7)
    assert copy == replace(VISIT, phase=Phase.HELD, until=7)
    assert changed(copy, until=8) == replace(copy, until=8)


def test_a_changed_copy_leaves_the_original_as_it_was() -> None:
    before = repr(VISIT)
    changed(VISIT, phase=Phase.HELD)
    assert repr(VISIT) == before


def test_a_field_that_there_is_not_is_refused() -> None:
    fields: dict[str, Any] = {"untill": 7}
    with pytest.raises(TypeError, match="Visit has no field untill"):
        changed(VISIT, **fields)


@pytest.mark.parametrize(
    "after",
    [
        STATE,
        replace(STATE, seq=5, code="", paused=False),
        replace(STATE, visits={"a": replace(VISIT), "b": replace(VISIT, until=9)}),
        replace(STATE, visits={"b": VISIT, "d": VISIT}, deadline=3),
        replace(STATE, arrivals={"c": ("a", "b"), "d": ("a",)}),
        replace(STATE, arrivals={}),
    ],
)
def test_what_a_state_has_since_another_is_what_differs_in_their_hashes(after: State) -> None:
    written, gone = after.since(STATE)
    old, new = STATE.encode(), after.encode()
    assert written == {name: text for name, text in new.items() if old.get(name) != text}
    assert set(gone) == old.keys() - new.keys()


def test_effects_stand_in_the_order_of_their_calls_however_redis_has_its_fields() -> None:
    def charged(number: int, *, first: int = 0, began: int = 0, entered_at: int = 0) -> Visit:
        return Visit(
            number=1, phase=Phase.SUCCEEDED, effects=f"charged pi_{number} 100 usd", first=first,
            began=began, entered_at=entered_at,
        )  # fmt: skip

    visits = {
        "late": charged(4, first=30),
        "undone": charged(2, began=10, first=0),
        "again": charged(3, entered_at=20),
        "first": charged(1, first=5),
        "as late": charged(5, first=30),
    }
    steps = [effect.step for effect in replace(STATE, visits=visits).effects]
    turned = dict(reversed(visits.items()))
    assert steps == ["first", "undone", "again", "as late", "late"]
    assert [effect.step for effect in replace(STATE, visits=turned).effects] == steps
