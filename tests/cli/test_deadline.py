"""``--deadline``, as a person gives it and as a person is told of it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Shell

pytestmark = pytest.mark.process


def test_a_run_that_is_not_done_by_its_deadline_has_failed_and_says_so(durazzo: Shell) -> None:
    durazzo.sandbox.faults({
        "match": "POST /stripe/v1/payment_intents",
        "do": "status",
        "status": 429,
        "headers": {"Retry-After": "120"},
        "times": 9,
    })
    done = durazzo("run", *durazzo.order(), "--deadline", "3s")
    assert done.code == 1
    assert "deadline passed before step create-payment was done: deadline-passed" in done.out
    assert durazzo.effects() == (0, 0)
    shown = durazzo("show", "last")
    assert ", to be done by " in shown.out
    assert "failed: deadline-passed" in shown.out
    listed = durazzo("runs", "--json", "--code", "deadline-passed")
    assert [row["step"] for row in json.loads(listed.out)["runs"]] == ["create-payment"]


def test_a_deadline_that_has_passed_is_refused_before_anything_is_accepted(durazzo: Shell) -> None:
    done = durazzo("start", *durazzo.order(), "--deadline", "2020-01-01T08:00Z")
    assert done.code == 3
    assert "the deadline has passed already" in done.err
    assert "no runs yet" in durazzo("runs").err
