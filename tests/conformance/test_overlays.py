"""The shipped overlays: each changes what it says and no more, and is suggested when it helps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops.cli.main import invoke
from ops.sandbox.server import BackgroundSandbox
from ops.sandbox.settings import Settings, StripeSettings
from orchestrator.expressions.nodes import Constant, Input, Node, Object, Output
from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.load import OverlayText, repairs, shipped, specs_folder
from orchestrator.plan.codec import decode, encode
from orchestrator.plan.model import Body, Choice, End, Goto, Plan, Route, Step
from orchestrator.service import validate
from orchestrator.wiring import load_profiles
from tests.cli.conftest import DECLINED, Shell
from tests.cli.conftest import durazzo as durazzo  # noqa: PLC0414  fixtures are found by their name
from tests.cli.conftest import sandbox as sandbox  # noqa: PLC0414
from tests.unit.formats.loading import codes, published, shipped_sources
from tests.unit.formats.overlaying import loaded, refused

CHARGE = "geo-stripe-payment-twilio-sms-confirm.yml"
DUNNING = "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml"
FINTECTURE = "fintecture-token-then-payment-workflow.yml"
OSOP = "ex-sop-stripe-payment.osop.yaml"

#: Name → the document that it is for, the steps whose calls it changes, and all it changes.
SHIPPED = {
    "failed-payment-dunning-real": (DUNNING, {"attempt-payment", "dunning-sms"}),
    "token-then-payment-real": (FINTECTURE, {"createPayment", "getPayment"}),
    "charge-no-redirects": (CHARGE, {"create-payment"}),
    "dunning-no-redirects": (DUNNING, {"attempt-payment"}),
    "osop-payment-no-redirects": (OSOP, {"create_intent"}),
}
NO_REDIRECTS = Object((
    ("enabled", Constant(value=True)),
    ("allow_redirects", Constant("never")),
))  # fmt: skip


def text_of(name: str) -> OverlayText:
    file = shipped(specs_folder())[name]
    return OverlayText(text=file.read_text(), file=str(file))


def plan_of(document: str, *names: str) -> Plan:
    return loaded(
        published(document),
        file=document,
        sources=shipped_sources(),
        overlays=[text_of(name) for name in names],
    ).plan


def changed(before: Plan, after: Plan) -> set[str]:
    return {old.id for old, new in zip(before.steps, after.steps, strict=True) if old != new}


def body_of(step: Step) -> dict[str, Node]:
    assert step.call.body is not None
    assert isinstance(step.call.body.value, Object)
    return dict(step.call.body.value.fields)


def test_these_are_shipped() -> None:
    assert set(shipped(specs_folder())) == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_overlay_lowers_and_touches_only_its_steps(name: str) -> None:
    document, steps = SHIPPED[name]
    before, after = plan_of(document), plan_of(document, name)
    assert changed(before, after) == steps
    assert decode(encode(after)) == after
    assert (after.name, after.starts) == (before.name, before.starts)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_overlay_complains_of_nothing_in_itself(name: str) -> None:
    document, _ = SHIPPED[name]
    found = loaded(
        published(document), file=document, sources=shipped_sources(), overlays=[text_of(name)]
    )
    assert [d for d in found.diagnostics if d.file != document] == []


def test_a_dunning_that_is_repaired_leans_on_no_leniency() -> None:
    loaded(
        published(DUNNING),
        file=DUNNING,
        sources=shipped_sources(),
        overlays=[text_of("failed-payment-dunning-real"), text_of("dunning-no-redirects")],
        strict=True,
    )


def test_the_real_dunning_ends_on_success_and_texts_on_a_decline_with_the_real_id() -> None:
    before, after = plan_of(DUNNING), plan_of(DUNNING, "failed-payment-dunning-real")
    attempt, text = after.steps
    assert attempt.call == before.steps[0].call
    assert [str(node) for node in attempt.criteria] == [
        "$statusCode == 200",
        "$response.body#/status == 'succeeded'",
    ]
    assert attempt.success == (Choice(routes=(Route(then=End()),)),)
    [declined] = attempt.failure[0].routes
    assert isinstance(declined.then, Goto)
    assert declined.then.step == "dunning-sms"
    assert [str(node) for node in declined.when] == [
        "($statusCode == 402 && $response.body#/error/type == 'card_error')"
    ]
    assert [name for name, _ in attempt.outputs] == [
        "paymentId", "paymentStatus", "declinedPaymentId", "declinedPaymentStatus",
    ]  # fmt: skip
    assert text.call.path == before.steps[1].call.path
    assert set(body_of(text)) == {"From", "To", "Body"}
    assert str(Output("attempt-payment", "declinedPaymentId")) in str(body_of(text)["Body"])
    assert after.outputs[:3] == before.outputs
    assert [name for name, _ in after.outputs[3:]] == ["declinedPaymentId", "declinedPaymentStatus"]


def test_the_real_token_then_payment_names_the_payer_and_reads_the_status_where_it_is() -> None:
    name = "token-then-payment-real"
    before, after = plan_of(FINTECTURE), plan_of(FINTECTURE, name)
    _, create, get = after.steps
    assert create.call.query == (("state", Input("state")),)
    assert create.call.headers == before.steps[1].call.headers
    assert body_of(create) == {
        **body_of(before.steps[1]),
        "meta": Object((("psu_name", Input("psuName")), ("psu_email", Input("psuEmail")))),
    }
    assert [(n, str(node)) for n, node in get.outputs] == [
        ("status", "$response.body#/meta/status")
    ]
    old, new = json.loads(before.inputs.schema), json.loads(after.inputs.schema)
    assert set(new["required"]) - set(old["required"]) == {"psuName", "psuEmail", "state"}
    assert set(old["required"]) < set(new["required"])


@pytest.mark.parametrize(
    "name", ["charge-no-redirects", "dunning-no-redirects", "osop-payment-no-redirects"]
)
def test_without_redirects_the_payment_says_so_and_nothing_else_is_changed(name: str) -> None:
    document, steps = SHIPPED[name]
    [step] = steps
    before, after = plan_of(document), plan_of(document, name)
    old, new = before.step(step), after.step(step)
    assert old.call.body is not None
    value = Object((
        *body_of(old).items(), ("automatic_payment_methods", NO_REDIRECTS),
    ))  # fmt: skip
    body = Body(
        encoding=old.call.body.encoding, content_type=old.call.body.content_type, value=value
    )
    assert new == replace(old, call=replace(old.call, body=body))
    assert replace(after, steps=before.steps) == before


def test_the_dunning_overlays_go_together_in_either_order() -> None:
    both = ("failed-payment-dunning-real", "dunning-no-redirects")
    assert plan_of(DUNNING, *both) == plan_of(DUNNING, *reversed(both))


# When an overlay is suggested.


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (DUNNING, "failed-payment-dunning-real"),
        (FINTECTURE, "token-then-payment-real"),
        (CHARGE, None),
        (OSOP, None),
    ],
)
def test_a_document_that_needs_a_repair_is_told_of_it(document: str, name: str | None) -> None:
    """What an account needs, nobody can know: the overlays against redirects are not suggested."""
    folder = specs_folder() / "published"
    found = validate(folder / document, load_profiles().values())
    notes = [d for d in found.diagnostics if d.code == "overlay-available"]
    assert [(d.severity, d.line, d.column, d.excerpt) for d in notes] == (
        [("note", 1, 1, "")] if name else []
    )
    assert all(f"--overlay {name}" in d.message for d in notes)


def test_the_note_is_there_for_the_same_document_however_it_is_written() -> None:
    text = published(DUNNING)
    known = repairs(specs_folder())
    same = "# a copy\n" + text.replace("arazzo: 1.0.1", "'arazzo': \"1.0.1\"")
    other = text.replace("type: integer", "type: number")
    tree = source.parse(text, Report(file="f", text=text))
    assert tree is not None
    as_json = json.dumps(source.plain(tree))
    assert text not in {same, other, as_json}
    for written, told in ((text, True), (same, True), (as_json, True), (other, False)):
        found = loaded(written, sources=shipped_sources(), known_repairs=known)
        assert ("overlay-available" in codes(found.diagnostics)) is told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["failed-payment-dunning-real"], False),
        (["dunning-no-redirects", "failed-payment-dunning-real"], False),
        (["dunning-no-redirects"], True),
    ],
)
def test_the_note_stays_until_the_repair_itself_is_given(names: list[str], *, told: bool) -> None:
    found = loaded(
        published(DUNNING),
        file=DUNNING,
        sources=shipped_sources(),
        known_repairs=repairs(specs_folder()),
        overlays=[text_of(name) for name in names],
    )
    assert ("overlay-available" in codes(found.diagnostics)) is told


def test_a_strict_reader_refuses_the_rest_but_not_the_note() -> None:
    known = repairs(specs_folder())
    found = refused(published(DUNNING), sources=shipped_sources(), strict=True, known_repairs=known)
    severities = {d.code: d.severity for d in found}
    assert severities.pop("overlay-available") == "note"
    assert set(severities.values()) == {"error"}


# What they do, by the sandbox's own books.


@pytest.fixture(scope="module")
def sandbox_server() -> Iterator[BackgroundSandbox]:
    """An account with payment methods that redirect."""
    settings = Settings(stripe=StripeSettings(redirect_methods=True))
    with BackgroundSandbox(settings) as running:
        yield running


DUNNING_ORDER = {
    "amount": "2000", "currency": "usd", "fromNumber": "+15005550006", "toNumber": "+15558675310",
}  # fmt: skip


def run(durazzo: Shell, document: str, inputs: dict[str, str], *overlays: str) -> int:
    sid = durazzo.sandbox.env["TWILIO_ACCOUNT_SID"]
    pairs = [w for n, v in {**inputs, "accountSid": sid}.items() for w in ("-i", f"{n}={v}")]
    chosen = [word for name in overlays for word in ("--overlay", name)]
    return durazzo("run", str(specs_folder() / "published" / document), *pairs, *chosen).code


@pytest.mark.process
@pytest.mark.parametrize(("card", "effects"), [(DECLINED, (0, 1)), ("pm_card_visa", (1, 0))])
def test_a_declined_card_is_texted_once_with_its_payment_and_a_good_one_not_at_all(
    durazzo: Shell, card: str, effects: tuple[int, int]
) -> None:
    overlays = ("failed-payment-dunning-real", "dunning-no-redirects")
    assert run(durazzo, DUNNING, {**DUNNING_ORDER, "paymentMethod": card}, *overlays) == 0
    assert durazzo.effects() == effects
    for message in durazzo.sandbox.ledger()["messages"]:
        assert message["body"].startswith("Your payment pi_")


@pytest.mark.process
def test_an_account_with_methods_that_redirect_needs_the_overlay(durazzo: Shell) -> None:
    order = {
        "amount": "2000", "currency": "usd", "paymentMethod": "pm_card_visa",
        "toPhone": "+15558675310", "fromPhone": "+15005550006",
    }  # fmt: skip
    assert run(durazzo, CHARGE, order) == 1
    assert durazzo.effects() == (0, 0)
    assert run(durazzo, CHARGE, order, "charge-no-redirects") == 0
    assert durazzo.effects() == (1, 1)


# The option.

DOCUMENT = str(specs_folder() / "published" / CHARGE)


def test_a_name_that_is_neither_shipped_nor_a_file_says_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["validate", DOCUMENT, "--overlay", "charge-no-redirect"]) == 2
    assert "did you mean 'charge-no-redirects'?" in capsys.readouterr().err
    assert invoke(["validate", DOCUMENT, "--overlay", "zzz"]) == 2
    assert "failed-payment-dunning-real" in capsys.readouterr().err


def test_shipped_overlays_and_files_go_together_and_complain_where_they_are_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(
        "overlay: 1.0.0\ninfo: {title: t, version: '1'}\n"
        "actions: [{target: '$.workflows[0].steps[0]', update: {operationId: nope}}]\n"
    )
    both = ["--overlay", "charge-no-redirects", "--overlay", str(own)]
    assert invoke(["validate", DOCUMENT, *both, "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    [problem] = [d for d in found if d["severity"] == "error"]
    assert (problem["code"], problem["file"], problem["line"], problem["column"]) == (
        "arazzo-unknown-operation", str(own), 3, 69,
    )  # fmt: skip


def test_an_overlay_that_cannot_be_read_is_no_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "mine.yaml"
    own.write_bytes(b"\xff")
    assert invoke(["validate", DOCUMENT, "--overlay", str(own)]) == 3
    assert f"{own}:1:1: error document-unreadable" in capsys.readouterr().err
