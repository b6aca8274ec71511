"""Workers put finished runs away, take them out for a retry, and remove them when their time is."""

from __future__ import annotations

from functools import partial

import pytest

from orchestrator.journal.archive import LIFE
from orchestrator.journal.keys import Keys
from orchestrator.journal.redis_archive import WAIT
from orchestrator.service import Run, retry
from orchestrator.service.forget import forget, of_run
from orchestrator.wiring import connect
from tests.process.house import CHARGE_AND_TEXT, House, plan_of, wait_for
from tests.process.test_retry import failed_in_its_text

pytestmark = pytest.mark.process
KEYS = Keys()


def settled(home: House, *ended: Run) -> None:
    """These are over, but whoever settles them may be still at it."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        for run in ended:
            wait_for(partial(client.zscore, KEYS.ended, run.id), "its settling", seconds=60)


def pass_time(home: House, ms: int, *ended: Run) -> None:
    settled(home, *ended)
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        client.incrby(KEYS.clock, ms)


def put_away(home: House, run: Run) -> bool:
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        return bool(client.exists(KEYS.done(run.id))) and not client.exists(KEYS.run(run.id))


def test_a_failed_run_is_put_away_retried_and_put_away_again(at_home: House) -> None:
    run = failed_in_its_text(at_home)
    settled(at_home, run)
    before = run.report(), run.history(), run.key()
    pass_time(at_home, WAIT, run)
    wait_for(lambda: put_away(at_home, run), "putting it away", seconds=60)
    assert (run.report(), run.history(), run.key()) == before
    retry(at_home.wiring.core, run.id, by="ops", reason="the number was bought")
    assert run.wait(60) == "succeeded"
    ledger = at_home.ledger()
    assert len(ledger["charges"]) == len(ledger["messages"]) == 1
    pass_time(at_home, WAIT, run)
    wait_for(lambda: put_away(at_home, run), "putting it away", seconds=60)
    assert str(run.report().outputs["paymentId"]).startswith("pi_")


def test_a_finished_run_is_gone_after_its_time_and_a_failed_one_that_charged_is_not(
    at_home: House,
) -> None:
    failed = failed_in_its_text(at_home)
    done = at_home.submit(plan_of(CHARGE_AND_TEXT), at_home.charge_inputs())
    assert done.wait(60) == "succeeded"
    pass_time(at_home, WAIT, done, failed)
    wait_for(lambda: put_away(at_home, done) and put_away(at_home, failed), "both", seconds=60)
    pass_time(at_home, LIFE)
    wait_for(lambda: at_home.wiring.core.journal.read(done.id) is None, "its removal", seconds=60)
    assert failed.report().stands().startswith("but charged")


def test_a_worker_has_a_forgotten_run_put_away_without_its_values(at_home: House) -> None:
    run = failed_in_its_text(at_home)
    core = at_home.wiring.core
    settled(at_home, run)
    forget(core, of_run(core, run.id), by="dpo", reason="request 17")
    pass_time(at_home, WAIT, run)
    wait_for(lambda: put_away(at_home, run), "putting it away", seconds=60)
    report = run.report()
    assert (report.state, dict(report.outputs), report.forgotten > 0) == ("failed", {}, True)
    assert report.stands().startswith("but charged")
