"""``durazzo run`` and its companions, as processes, by the sandbox's own books."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from ops.embedded import Embedded, environ_for, serving
from orchestrator.formats.load import specs_folder
from orchestrator.settings import Settings
from orchestrator.wiring import wire
from tests.cli.conftest import CHARGE_AND_TEXT, DECLINED, Shell, wait_for

pytestmark = pytest.mark.process


def test_the_published_seed_charges_and_texts_once(durazzo: Shell) -> None:
    """Exit 0, the documented object on stdout, ticks on stderr, one charge and one text."""
    order = durazzo.order()
    done = durazzo("run", *order, "--json")
    assert done.code == 0, done.err
    found = done.json
    assert set(found) == {
        "run", "workflow", "state", "outputs", "steps", "effects", "error", "diagnostics",
    }  # fmt: skip
    assert found["workflow"] == "charge-and-sms-confirm"
    assert found["state"] == "succeeded"
    assert found["error"] is None
    common = {"state": "succeeded", "visits": 1, "attempts": 1}
    assert found["steps"] == [
        {"step": "create-payment", **common, "status": 200},
        {"step": "send-confirmation", **common, "status": 201},
    ]
    ledger = durazzo.sandbox.ledger()
    assert found["outputs"] == {
        "paymentId": ledger["charges"][0]["payment_intent"],
        "messageSid": ledger["messages"][0]["sid"],
    }
    assert ledger["charges"][0]["amount"] == 2000
    assert durazzo.effects() == (1, 1)
    assert "create-payment (HTTP 200)" in done.err
    assert [d["severity"] for d in found["diagnostics"]] == ["warning"]
    assert ":52:50: warning arazzo-double-quoted-string" in done.err


def test_no_input_is_shown_or_logged_and_nothing_is_left_running(durazzo: Shell) -> None:
    """Phone numbers reach neither stream nor the worker's log; the server ends with the command."""
    order = durazzo.order()
    done = durazzo("run", *order)
    assert done.code == 0, done.err
    log = (durazzo.home / "worker.log").read_text()
    assert durazzo.phone(order) not in done.out + done.err + log
    assert done.out.startswith("succeeded after ")
    assert not Embedded(durazzo.home).answers()


def test_a_decline_fails_the_run_and_texts_nobody(durazzo: Shell) -> None:
    """Exit 1, with the provider's code."""
    done = durazzo("run", *durazzo.order(paymentMethod=DECLINED), "--json")
    assert done.code == 1
    assert done.json["state"] == "failed"
    assert done.json["error"] == {
        "code": "card_declined",
        "detail": "insufficient_funds",
        "message": "step create-payment failed: card_declined (insufficient_funds), HTTP 402",
        "step": "create-payment",
        "status": 402,
    }
    assert "create-payment failed: card_declined (insufficient_funds), HTTP 402" in done.err
    assert durazzo.effects() == (0, 0)


def test_a_missing_input_is_refused_before_the_charge(durazzo: Shell) -> None:
    """Exit 3; not even a server was started."""
    done = durazzo("run", *durazzo.order(leave_out="toPhone"), "--json")
    assert done.code == 3
    assert "input 'toPhone' is missing" in done.err
    assert done.json["error"]["code"] == "inputs-refused"
    assert durazzo.requests("/") == []
    assert not durazzo.home.exists()


def test_a_missing_secret_of_a_later_step_is_refused_before_the_charge(durazzo: Shell) -> None:
    """Charged, and then no text for want of a token: nothing is half-done."""
    done = durazzo("run", *durazzo.order(), TWILIO_AUTH_TOKEN="")
    assert done.code == 2
    assert "the secret TWILIO_AUTH_TOKEN is not set" in done.err
    assert durazzo.requests("/") == []


def test_a_missing_secret_of_a_step_that_may_run_is_refused_before_the_charge(
    durazzo: Shell,
) -> None:
    """Whether its step comes is decided after the charge, when it is too late to ask for it."""
    words = ["run", str(specs_folder() / "published" / "ex-sop-stripe-payment.osop.yaml")]
    done = durazzo(*words, "--json", ANTHROPIC_API_KEY="")
    assert done.code == 2
    assert done.json["error"]["code"] == "credential-missing"
    assert "the secret ANTHROPIC_API_KEY is not set: put it into" in done.err
    assert "step send_receipt needs it" in done.err
    assert "warning" not in done.err
    assert durazzo.requests("/") == []
    assert not durazzo.home.exists()


def test_a_retry_is_told_and_the_run_succeeds(durazzo: Shell) -> None:
    """503 and then 200: one charge, with one key."""
    durazzo.sandbox.faults({"match": "POST /stripe/*", "do": "status", "status": 503})
    done = durazzo("run", *durazzo.order())
    assert done.code == 0, done.err
    assert "create-payment: retry in " in done.err
    assert durazzo.effects() == (1, 1)
    assert len({r["key"] for r in durazzo.requests("/payment_intents")}) == 1


def test_a_text_whose_answer_was_lost_leaves_unknown(durazzo: Shell) -> None:
    """Exit 6, and never a second text."""
    durazzo.sandbox.faults({"match": "POST /twilio/*", "do": "drop_after"})
    done = durazzo("run", *durazzo.order(), "--json")
    assert done.code == 6, done.err
    assert done.json["state"] == "unknown"
    assert "send-confirmation: unknown" in done.err
    assert durazzo.effects() == (1, 1)


def test_redis_down_is_said_quickly(durazzo: Shell) -> None:
    """Exit 4."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
    before = time.monotonic()
    done = durazzo("run", *durazzo.order(), DURAZZO_REDIS_URL=url, DURAZZO_SEAL="off")
    assert done.code == 4
    assert "error: redis-unavailable: Redis cannot be used: no connection comes about" in done.err
    assert time.monotonic() - before < 5
    assert durazzo.requests("/") == []


def test_a_redis_without_workers_accepts_nothing(durazzo: Shell) -> None:
    """Exit 4, told to start one; with one, the same command succeeds."""
    with serving(Settings(home=durazzo.home, environ=durazzo.environ)) as at:
        environ = {k: v for k, v in environ_for(at).items() if k.startswith("DURAZZO")}
        order = durazzo.order()
        done = durazzo("run", *order, **environ)
        assert done.code == 4
        assert "error: no-worker: " in done.err
        assert "durazzo worker" in done.err
        assert durazzo("runs", "--json", **environ).json == {"runs": []}

        worker = durazzo.begin("worker", "--concurrency", "2", **environ)
        wiring = wire(at)
        wait_for(lambda: bool(wiring.core.journal.alive()), "a heartbeat")
        assert durazzo("run", *order, **environ).code == 0
        assert durazzo.effects() == (1, 1)
        worker.send_signal(signal.SIGTERM)
        assert durazzo.end(worker).code == 0
        assert not wiring.core.journal.alive()
        wiring.app.close()


def test_ctrl_c_leaves_a_run_that_the_next_command_finishes(durazzo: Shell) -> None:
    """130, the run's id and how it goes on; then one charge and one text in all."""
    durazzo.sandbox.faults({
        "match": "POST /stripe/v1/payment_intents",
        "do": "latency",
        "ms": 60_000,
        "after": True,
    })
    leaving = durazzo.begin("run", *durazzo.order())
    wait_for(lambda: bool(durazzo.sandbox.ledger()["charges"]), "the charge")
    leaving.send_signal(signal.SIGINT)
    assert leaving.stderr is not None
    said = ""
    while "a call is under way" not in said:
        said += leaving.stderr.readline()
    leaving.send_signal(signal.SIGINT)
    done = durazzo.end(leaving)
    assert done.code == 130
    run = durazzo("runs", "--json").json["runs"][0]
    assert run["state"] == "running"
    assert f"left: run {run['run']} is not over" in said
    assert "the next `durazzo run`, or `durazzo worker`, carries it on" in said

    after = durazzo("run", *durazzo.order())
    assert after.code == 0, after.err
    assert "carrying on 1 unfinished run from before" in after.err
    worker = durazzo.begin("worker", "--pool", "threads", "--concurrency", "2")
    assert worker.stderr is not None
    # The command before it may have done all that there is to do.
    assert any(" ready." in line for line in worker.stderr)
    wait_for(lambda: durazzo.effects() == (2, 2), "the first run's text")
    worker.send_signal(signal.SIGTERM)
    assert durazzo.end(worker).code == 0
    assert durazzo("show", run["run"], "--json").json["state"] == "succeeded"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_call_that_comes_back_in_time_lands_before_the_command_leaves(
    durazzo: Shell, sign: signal.Signals
) -> None:
    """One Ctrl-C waits for the call under way: its outcome is known, not in doubt."""
    durazzo.sandbox.faults({"match": "POST /stripe/*", "do": "latency", "ms": 1_500, "after": True})
    leaving = durazzo.begin("run", *durazzo.order())
    wait_for(lambda: bool(durazzo.sandbox.ledger()["charges"]), "the charge")
    leaving.send_signal(sign)
    assert durazzo.end(leaving).code == 130
    events = durazzo("show", durazzo("runs", "--json").json["runs"][0]["run"], "--events", "--json")
    outcomes = [e["k"] for e in events.json["events"] if e["event"] == "outcome"]
    assert outcomes[:1] == ["succeeded"]


def test_a_timeout_ends_the_command_and_not_the_run(durazzo: Shell) -> None:
    """Exit 5 with the state as it is."""
    durazzo.sandbox.faults({"match": "POST /stripe/*", "do": "latency", "ms": 1_500})
    done = durazzo("run", *durazzo.order(), "--timeout", "0.5", "--json")
    assert done.code == 5
    assert done.json["state"] in {"pending", "running"}
    assert "timed out: run " in done.err
    assert durazzo("run", *durazzo.order()).code == 0
    wait = durazzo.begin("worker", "--pool", "threads")
    wait_for(lambda: durazzo.effects() == (2, 2), "the end of both")
    wait.send_signal(signal.SIGTERM)
    durazzo.end(wait)


def test_a_killed_command_takes_its_worker_and_server_along(durazzo: Shell) -> None:
    """Without its command a worker would drive later runs with yesterday's settings."""
    durazzo.sandbox.faults({"match": "POST /stripe/*", "do": "latency", "ms": 1_000, "after": True})
    killed = durazzo.begin("run", *durazzo.order())
    wait_for(lambda: bool(durazzo.sandbox.ledger()["charges"]), "the charge")
    killed.kill()
    durazzo.end(killed)
    wait_for(lambda: not Embedded(durazzo.home).answers(), "the server's end")
    worker = durazzo.begin("worker", "--pool", "threads")
    wait_for(lambda: durazzo.effects() == (1, 1), "the text")
    worker.send_signal(signal.SIGINT)
    assert durazzo.end(worker).code == 0


def test_start_accepts_and_the_next_run_carries_it_on(durazzo: Shell) -> None:
    """What `start` says, and what the list and the page of a run say of it."""
    order = durazzo.order()
    started = durazzo("start", *order, "--key", "order-1042", "--json")
    assert started.code == 0, started.err
    run = started.json["run"]
    assert started.json == {
        "run": run, "workflow": "charge-and-sms-confirm", "state": "pending", "known": False,
    }  # fmt: skip
    assert "nothing is sent until `durazzo worker` or the next `durazzo run`" in started.err
    assert durazzo.effects() == (0, 0)
    again = durazzo("run", *order, "--key", "order-1042", "--json")
    assert again.code == 0, again.err
    assert again.json["run"] == run
    assert "already: nothing new was started" in again.err
    assert durazzo.effects() == (1, 1)

    assert "run key order-1042" in durazzo("show", run).out
    assert durazzo("show", run, "--json").json["key"] == "order-1042"
    conflict = durazzo("start", *durazzo.order(), "--key", "order-1042")
    assert conflict.code == 3
    assert "error: run-key-conflict: " in conflict.err

    listed = durazzo("runs")
    assert run in listed.out
    assert "succeeded" in listed.out
    shown = durazzo("show", run[:12], "--events")
    assert "send-confirmation  succeeded  1       1      201" in shown.out
    assert "paymentId" not in shown.out
    assert durazzo.phone(order) not in shown.out
    assert "paymentId" in durazzo("show", run, "--outputs").out


def test_pause_resume_and_cancel_are_kept(durazzo: Shell) -> None:
    """A paused run begins nothing; a cancelled one ends and stays so."""
    run = durazzo("start", *durazzo.order()).out.strip()
    assert durazzo("pause", run, "--reason", "asked", "--json").json == {
        "run": run, "state": "paused",
    }  # fmt: skip
    assert durazzo("run", *durazzo.order()).code == 0
    assert durazzo.effects() == (1, 1)
    assert durazzo("resume", run).out == f"{run}: pending\n"
    assert durazzo("cancel", run[:-2]).out == f"{run}: cancelled\n"
    late = durazzo("cancel", run)
    assert late.code == 0
    assert "it stays cancelled" in late.err
    assert durazzo("show", "nothing").code == 2


def test_a_run_in_another_lane_is_driven(durazzo: Shell) -> None:
    """The worker that `run` brings works on the lane, and on those of unfinished runs."""
    assert durazzo("start", *durazzo.order(), "--lane", "dunning").code == 0
    routed = '{"charge-and-sms-confirm": "confirmations"}'
    assert durazzo("run", *durazzo.order(), DURAZZO_LANES=routed).code == 0
    assert "lane confirmations" in durazzo("show", "last").out
    worker = durazzo.begin("worker", "--pool", "threads", "--lane", "dunning")
    wait_for(lambda: durazzo.effects() == (2, 2), "both")
    worker.send_signal(signal.SIGTERM)
    durazzo.end(worker)


def test_a_timekeeper_is_no_worker(durazzo: Shell) -> None:
    """It keeps time, and nothing is accepted on its account."""
    with serving(Settings(home=durazzo.home, environ=durazzo.environ)) as at:
        environ = {k: v for k, v in environ_for(at).items() if k.startswith("DURAZZO")}
        keeper = durazzo.begin("timekeeper", **environ)
        assert keeper.stderr is not None
        # Before it there are lines of what the server's settings mean.
        assert "keeping time\n" in iter(keeper.stderr.readline, "")
        assert durazzo("run", *durazzo.order(), **environ).code == 4
        keeper.send_signal(signal.SIGTERM)
        assert durazzo.end(keeper).code == 0


def test_the_sandbox_command_writes_what_points_durazzo_at_it(
    durazzo: Shell, tmp_path: Path
) -> None:
    """Its environment file is shell syntax, private, and enough for a run."""
    file = tmp_path / "sandbox.env"
    serving_it = durazzo.begin("sandbox", "--env-file", str(file))
    assert serving_it.stdout is not None
    assert "sandbox listening on http://127.0.0.1:" in serving_it.stdout.readline()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "export DURAZZO_SERVERS=" in file.read_text()
    serving_it.send_signal(signal.SIGTERM)
    assert durazzo.end(serving_it).code == 0


def test_a_dry_run_shows_requests_without_values_and_stores_nothing(durazzo: Shell) -> None:
    order = durazzo.order()
    done = durazzo("run", *order, "--dry-run")
    assert done.code == 0, done.err
    assert f"create-payment: POST {durazzo.sandbox.url}/stripe/v1/payment_intents" in done.out
    assert "body.amount = $inputs.amount" in done.out
    assert "Accounts/{$inputs.accountSid}/Messages.json" in done.out
    assert durazzo.phone(order) not in done.out + done.err
    assert durazzo.requests("/") == []
    assert not durazzo.home.exists()


def test_a_server_on_the_command_line_goes_before_the_published_one(durazzo: Shell) -> None:
    """By the name of a source description, and by a URL prefix; with the provider's credentials."""
    servers = [
        "--server", f"stripeApi={durazzo.sandbox.url}/stripe",
        "--server", f"https://api.twilio.com={durazzo.sandbox.url}/twilio",
    ]  # fmt: skip
    done = durazzo("run", *durazzo.order(), *servers, "--timeout", "20", DURAZZO_SERVERS="")
    assert done.code == 0, done.err
    assert durazzo.effects() == (1, 1)


def test_inputs_may_come_from_stdin_or_a_file(durazzo: Shell, tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text('{"amount": 2000, "amount": 1}')
    done = durazzo("run", str(CHARGE_AND_TEXT), "--inputs", f"@{file}")
    assert done.code == 3
    assert "the name 'amount' stands there twice" in done.err
