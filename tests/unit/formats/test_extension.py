"""``x-durazzo``: what a step may tell durazzo, in both formats, and what is refused of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from orchestrator.plan import codec
from orchestrator.plan.model import Plan
from tests.unit.formats.loading import Shelf, arazzo, codes, loaded, refused
from tests.unit.formats.overlaying import loaded as with_overlays
from tests.unit.formats.overlaying import overlay

Written: TypeAlias = Callable[..., str]

STEP = """
      - stepId: create
        operationId: createOrder
        {own}
"""
NODE = """osop_version: "1.0"
id: w
name: w
nodes:
  - id: create
    type: api
    runtime: {{method: POST, url: https://shop.example/v1, endpoint: /orders}}
    {own}
edges: []
"""
STRIPE = """
openapi: 3.1.0
servers: [{url: "https://api.stripe.com/"}]
paths:
  /v1/payment_intents:
    post: {operationId: charge}
  /v1/payment_intents/{id}/{act}:
    parameters: [{name: id, in: path, required: true}, {name: act, in: path, required: true}]
    post: {operationId: act}
  /v1/customers:
    post: {operationId: customer}
"""
RESEND = "x-durazzo: {when-unknown: resend}"


def in_arazzo(own: str = "") -> str:
    return arazzo(STEP.format(own=own))


def in_osop(own: str = "") -> str:
    return NODE.format(own=own)


def of_stripe(operation: str, parameters: str = "[]") -> str:
    step = f"""
      - stepId: pay
        operationId: {operation}
        parameters: {parameters}
        {RESEND}
"""
    inputs = "{type: object, properties: {act: {type: string}}}"
    return arazzo(step, inputs=inputs).replace("name: shop", "name: stripe")


SHELF = Shelf({"stripe": STRIPE})
BOTH = pytest.mark.parametrize("written", [in_arazzo, in_osop])


@BOTH
@pytest.mark.parametrize(
    ("own", "meant"),
    [
        ("", "park"),
        ("x-durazzo: {}", "park"),
        ("x-durazzo: {when-unknown: park}", "park"),
        (RESEND, "resend"),
    ],
)
def test_a_step_says_what_becomes_of_a_call_in_doubt(
    written: Written, own: str, meant: str
) -> None:
    found = loaded(written(own))
    assert found.diagnostics == ()
    assert found.plan.step("create").when_unknown == meant


def test_both_formats_say_it_with_the_same_plan() -> None:
    def step_of(plan: Plan) -> object:
        return plan.step("create")

    assert step_of(loaded(in_arazzo(RESEND)).plan) == step_of(loaded(in_osop(RESEND)).plan)


@BOTH
def test_a_plan_without_it_keeps_its_bytes(written: Written) -> None:
    """Whatever was accepted before there was such a word goes on under its digest."""
    plain = codec.encode(loaded(written()).plan)
    assert codec.encode(loaded(written("x-durazzo: {when-unknown: park}")).plan) == plain
    assert b"when_unknown" not in plain
    resent = loaded(written(RESEND)).plan
    assert codec.decode(codec.encode(resent)) == resent


@BOTH
@pytest.mark.parametrize(
    ("own", "code", "hint"),
    [
        ("x-durazzo: {when-unknown: re-send}", "extension", "did you mean 'resend'?"),
        ("x-durazzo: {when-unknown: true}", "extension", "is park or resend"),
        ("x-durazzo: {when-unknown: [resend]}", "extension", "is park or resend"),
        ("x-durazzo: {when-unknown: null}", "extension", "is park or resend"),
        ("x-durazzo: {when_unknown: resend}", "extension", "did you mean 'when-unknown'?"),
        ("x-durazzo: {retries: 3}", "extension", "there is when-unknown"),
        ("x-durazzo: resend", "wrong-type", "is a mapping"),
        ("x-durrazo: {when-unknown: resend}", "misspelt-key", "did you mean 'x-durazzo'?"),
    ],
)
def test_what_is_not_known_there_is_refused(
    written: Written, own: str, code: str, hint: str
) -> None:
    [found] = refused(written(own))
    assert found.code.partition("-")[2] == code
    assert hint in found.message


def test_it_belongs_to_a_step_and_nowhere_else() -> None:
    outside = refused(in_arazzo().replace("workflowId: w", f"workflowId: w\n    {RESEND}"))
    assert codes(outside) == ["arazzo-extension"]
    edge = "edges: [{from: create, to: create, mode: fallback, x-durazzo: {}}]"
    assert codes(refused(in_osop().replace("edges: []", edge))) == ["osop-extension"]


def test_any_other_extension_may_hold_anything() -> None:
    assert loaded(in_arazzo("x-vendor: {when-unknown: 7}")).diagnostics == ()


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("charge", "[]"),
        ("act", "[{name: id, in: path, value: pi_1}, {name: act, in: path, value: confirm}]"),
        # What the path will be is only known when it runs: it could be a charge.
        ("act", "[{name: id, in: path, value: pi_1}, {name: act, in: path, value: $inputs.act}]"),
    ],
)
def test_a_call_that_can_move_money_is_never_sent_again_in_doubt(
    operation: str, parameters: str
) -> None:
    [found] = refused(of_stripe(operation, parameters), sources=SHELF)
    assert found.code == "arazzo-resend-money"
    assert "pay twice" in found.message
    assert found.pointer.endswith("/x-durazzo/when-unknown")


def test_a_call_that_moves_no_money_may_be() -> None:
    cancel = "[{name: id, in: path, value: pi_1}, {name: act, in: path, value: cancel}]"
    for document in (of_stripe("customer"), of_stripe("act", cancel)):
        assert loaded(document, sources=SHELF).plan.step("pay").when_unknown == "resend"


def test_an_osop_node_that_can_move_money_is_refused_as_well() -> None:
    charge = in_osop(RESEND).replace("https://shop.example/v1", "https://api.stripe.com")
    assert codes(refused(charge.replace("/orders", "/v1/payment_intents"))) == ["osop-resend-money"]


def test_an_overlay_can_say_it() -> None:
    update = "- target: $.workflows[0].steps[0]\n  update: {x-durazzo: {when-unknown: resend}}"
    over = overlay(update)
    assert with_overlays(in_arazzo(), overlays=[over]).plan.step("create").when_unknown == "resend"
