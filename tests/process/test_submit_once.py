"""One run key, two processes that submit it at once: one run, charged and texted once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ops import lab
from tests.process.house import House

pytestmark = pytest.mark.process

TIMES = 500


def submitting(home: House) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.process.submitting", str(TIMES)],
        cwd=lab.CHECKOUT, env=home.environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def test_two_processes_that_submit_one_key_five_hundred_times_have_one_run(
    at_home: House,
) -> None:
    inputs = json.dumps(at_home.charge_inputs())
    both = [submitting(at_home) for _ in range(2)]
    try:
        for process in both:
            assert process.stdin is not None
            process.stdin.write(inputs)
            process.stdin.close()
            process.stdin = None
        said = [process.communicate(timeout=120)[0].split() for process in both]
    finally:
        for process in both:
            process.kill()
            process.wait()
    assert [len(runs) for runs in said] == [TIMES, TIMES]
    [run] = {*said[0], *said[1]}
    assert at_home.wiring.core.journal.recent(10) == [run]
    at_home.worker()
    lab.wait_for(lambda: len(at_home.ledger()["messages"]) == 1, "the text")
    assert len(at_home.ledger()["charges"]) == 1
