"""The lane of a run: the caller's word, else its workflow's, else the default."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import InputsRefused
from orchestrator.journal.keys import Keys
from orchestrator.service import Run
from tests.unit.test_submit_key import CONFIRM, House, house

__all__ = ["house"]


def submitted(house: House, lanes: dict[str, str], lane: str | None = None) -> Run:
    return House(replace(house.core, lanes=lanes), house.client).submit(lane=lane)


def test_a_run_stands_in_its_workflows_lane(house: House) -> None:
    assert submitted(house, {CONFIRM.name: "confirmations"}).state().lane == "confirmations"


def test_whoever_submits_has_the_first_word(house: House) -> None:
    assert submitted(house, {CONFIRM.name: "confirmations"}, "vip").state().lane == "vip"


def test_a_workflow_that_is_routed_nowhere_has_the_default(house: House) -> None:
    assert submitted(house, {"another": "confirmations"}).state().lane == "default"


@pytest.mark.parametrize("lane", ["+15558675310", "a b", "-x", "a,b", "x" * 65, "a\n", "\u00e9"])
def test_what_is_no_lanes_name_is_refused_and_not_repeated(house: House, lane: str) -> None:
    with pytest.raises(InputsRefused) as refused:
        submitted(house, {}, lane)
    assert refused.value.message.startswith("a lane is named by 1 to 64 letters, digits, dots")
    assert lane not in refused.value.message
    assert house.client.zcard(Keys().runs) == 0, "nothing is stored"
