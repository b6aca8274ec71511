"""forget: what is asked, told and printed, and what the other commands say of the run then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ops.cli.main import invoke
from orchestrator import service
from orchestrator.engine.state import Result
from orchestrator.expressions.nodes import Json
from orchestrator.journal.port import Ref
from tests.cli.test_many import Desk, answering, desk
from tests.fakes import plans
from tests.fakes.journal import take

__all__ = ["answering", "desk"]

pytestmark = pytest.mark.server

CANARY = "canary-4711"


def failed(desk: Desk, key: str | None = CANARY, scope: str = "workflow") -> str:
    """A run that charged, and failed; a person paused it for a reason that names somebody."""
    journal = desk.core.journal
    inputs: dict[str, Json] = {"order": CANARY, "amount": 4_200}
    run = service.submit(desk.core, plans.charge_and_text(), inputs, key=key, key_scope=scope).id
    service.pause(desk.core, run, by="eve", reason=CANARY)
    service.resume(desk.core, run, by="eve")
    journal.heartbeat("w1", ttl_ms=600_000)
    for step, result, told in (
        ("charge", Result.SUCCEEDED, {"done": "charged pi_1 4200 usd", "outputs": {"id": CANARY}}),
        ("text", Result.FINAL, {"code": "refused"}),
    ):
        state = journal.read(run)
        assert state is not None
        lease = take(journal, desk.core.plans.graph(state.plan), Ref(run, step, 1))
        lease.begin()
        lease.commit(result, **told)
    desk.core.driver.carry_on(run)
    return run


def test_it_says_what_was_erased_and_what_was_kept(desk: Desk) -> None:
    run = failed(desk)
    said = desk(
        "forget", "--key", CANARY, "--workflow", "charge-and-text", "--yes", "--reason", "17"
    )
    assert said.code == 0, said.err
    assert said.out == (
        f"{run}: charge-and-text, failed (refused)\n"
        "  erased: inputs, outputs of charge, the run key's text, 1 reason\n"
        "  kept: state, codes and times\n"
        "  kept: charged 42.00 USD pi_1 (charge)\n"
        "  kept: a run key still stands for this run, as a digest: nothing runs twice\n"
    )
    assert "backups" in said.err
    assert CANARY not in said.out + said.err


def test_show_says_that_its_values_are_erased_and_retry_refuses(desk: Desk) -> None:
    run = failed(desk)
    assert desk("forget", "--run", run, "--yes", "--reason", "request 17").code == 0
    told = " ".join(desk("show", run, "--outputs", "--events").out.split())
    assert "Its values were erased on" in told
    assert "It cannot be retried." in told
    assert "its values were erased by" in told
    assert "request 17" in told
    assert "charged 42.00 USD pi_1" in told
    assert "durazzo retry" not in told
    assert CANARY not in told
    refused = desk("retry", run, "--force")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: retry-refused: the run's values were erased")
    shown = desk("show", run, "--outputs", "--json").json
    assert (shown["outputs"], shown["erased_at"] > 0, "key" in shown) == ({}, True, False)


def test_the_same_order_again_is_the_same_run(desk: Desk) -> None:
    run = failed(desk)
    assert desk("forget", "--run", run, "--yes", "--reason", "17").code == 0
    again = service.submit(
        desk.core, plans.charge_and_text(), {"order": CANARY, "amount": 4_200}, key=CANARY
    )
    assert (again.id, again.known) == (run, True)


def test_json_says_what_was_erased(desk: Desk) -> None:
    run = failed(desk, scope="global")
    said = desk(
        "forget", "--key", CANARY, "--key-scope", "global", "-y", "--json", "--reason", "17"
    )
    assert said.json == {
        "run": run,
        "state": "failed",
        "erased": {"values": ["inputs", "key", "o:charge"], "reasons": 1, "rows": {}},
        "kept": [
            {"step": "charge", "what": "charged", "id": "pi_1", "amount": 4200, "currency": "usd"}
        ],
    }
    said = desk("forget", "--run", run, "--yes", "--reason", "17")
    assert (said.code, "it was erased before" in said.out) == (0, True)


def test_a_person_is_asked_what_it_is_about(desk: Desk, answering: Callable[[str], None]) -> None:
    run = failed(desk)
    answering("n\n")
    said = desk("forget", "--run", run, "--reason", "17")
    assert said.code == 1
    assert f"run {run}: charge-and-text, failed (refused). Erase its values for good?" in said.err
    assert "nothing was erased" in said.err
    assert desk.core.journal.inputs(run)
    answering("y\n")
    assert desk("forget", "--run", run, "--reason", "17").code == 0
    assert not desk.core.journal.inputs(run)


def test_without_a_terminal_it_must_be_said(desk: Desk) -> None:
    run = failed(desk)
    said = desk("forget", "--run", run, "--reason", "17")
    assert (said.code, "--yes says erase" in said.err) == (2, True)
    assert desk.core.journal.inputs(run)


def test_a_run_that_goes_on_is_refused(desk: Desk) -> None:
    run = desk.start()
    said = desk("forget", "--run", run, "--yes", "--reason", "17")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "error: forget-refused: the run is pending and needs its values: wait for its end, or"
        " cancel it (durazzo cancel)\n"
    )


def test_a_key_that_nobody_used_is_said_without_saying_it(desk: Desk) -> None:
    said = desk("forget", "--key", CANARY, "--workflow", "order", "--yes", "--reason", "17")
    assert said.code == 2
    assert said.err.startswith("error: unknown-run: ")
    assert CANARY not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ["--reason", "17"],
        ["--run", "01k9"],
        ["--run", "01k9", "--key", "k", "--reason", "17"],
        ["--run", "01k9", "--workflow", "w", "--reason", "17"],
        ["--key", "k", "--reason", "17"],
        ["--key", "k", "--key-scope", "workflow", "--reason", "17"],
        ["--key", " ", "--workflow", "w", "--reason", "17"],
        ["--run", "01k9", "--reason", "x" * 1_001],
    ],
)
def test_what_is_not_clear_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["forget", *words]) == 2
    assert "Error: " in capsys.readouterr().err
