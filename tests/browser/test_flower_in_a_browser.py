"""``durazzo flower`` as ops have it: what a person sees, finds, and never sees."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from ops.lab import CHECKOUT
from tests.browser.scene import AMOUNT, MARKUP, WIDE, Looking, Scene, looking, scene
from tests.process.house import wait_for
from tests.process.scan import leaks, private

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PICTURES = CHECKOUT / "ops" / "docs" / "screenshots"
NAMES = {"charge-and-sms-confirm/create-payment", "charge-and-sms-confirm/send-confirmation"}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def ops(played: Scene, chromium: Browser) -> Iterator[Looking]:
    """Whatever they look at, no page holds anything of a customer."""
    with looking(played, chromium) as found:
        yield found
        check(found)


def check(found: Looking) -> None:
    held = "".join(found.bodies) + found.page.content()
    words = {
        f"{name} {number}": word
        for number, inputs in enumerate(found.scene.inputs)
        for name, word in private(found.scene.home, dict(inputs)).items()
    } | {"money": f"{AMOUNT / 100:.2f}"}
    assert "/static/" in held
    assert leaks(held, words) == []
    assert found.complaints == []
    assert found.sockets == []


@pytest.fixture
def picture() -> Callable[..., None]:
    """Kept for the documentation, when it is asked for."""

    def take(found: Looking, name: str, tallest: int = 1000) -> None:
        kept = PICTURES / f"{name}.png"
        if os.environ.get("DURAZZO_REWRITE_GOLDEN") == "1":
            height = min(int(found.page.evaluate("document.body.scrollHeight")), tallest)
            found.page.set_viewport_size({**WIDE, "height": height})
            found.page.evaluate("document.activeElement.blur()")
            found.page.screenshot(path=kept)
        assert kept.stat().st_size < 200_000

    return take


Picture = Callable[..., None]


def test_who_has_no_login_sees_nothing(played: Scene, chromium: Browser) -> None:
    with looking(played, chromium, login=False) as found:
        for path in ("/tasks", "/workers", "/runs", f"/run/{played.paid.id}", "/durazzo/pages.css"):
            answer = found.context.request.get(f"{played.flower.url}{path}")
            assert answer.status == 401
            assert played.paid.id not in answer.text()


def test_the_tasks_of_a_batch_are_read_as_workflow_and_step(ops: Looking, picture: Picture) -> None:
    scene = ops.scene
    scene.home.sandbox.faults([
        {"match": "POST /stripe/v1/payment_intents", "do": "latency", "ms": 1500, "times": None}
    ])
    scene.batch("june", 40)
    wait_for(lambda: len(done(scene)) > 9, "some of the batch", seconds=90)
    ops.goes_to("/tasks?run=june")
    ops.settles()
    names = ops.page.locator("#tasks-table tbody tr td:first-child").all_inner_texts()
    assert set(names) <= NAMES
    assert len(names) == 15
    assert all(task.startswith("june-") for task in ops.tasks())
    # What the page asked for by itself is looked through as well.
    assert any('"recordsTotal"' in body for body in ops.bodies)
    picture(ops, "tasks-of-a-batch")
    ops.goes_to("/workers")
    ops.page.locator("#workers-table tbody .worker-name-link").first.wait_for()
    picture(ops, "workers")
    ops.page.locator("#workers-table tbody .worker-name-link").first.click()
    ops.page.locator("#workername").wait_for(state="attached")
    assert "Shut Down" not in ops.page.content()
    picture(ops, "worker")


def done(scene: Scene) -> dict[str, object]:
    return scene.flower.tasks("june AND state:SUCCESS")


@pytest.mark.parametrize("row", [1, 2, 12])
def test_a_search_by_run_finds_its_tasks_and_no_other_runs(ops: Looking, row: int) -> None:
    ops.goes_to("/tasks")
    ops.settles()
    ops.searches(f"may-{row}")
    assert set(ops.tasks()) == {
        f"may-{row}.create-payment.1.1", f"may-{row}.send-confirmation.1.1",
    }  # fmt: skip
    ops.searches(f"may-{row} AND state:FAILURE")
    assert ops.tasks() == []
    ops.searches("may")
    assert len(ops.tasks()) == 15


def test_a_failed_run_shows_its_code_and_leads_to_its_page_and_back(
    ops: Looking, picture: Picture
) -> None:
    run = ops.scene.declined.id
    ops.goes_to("/tasks")
    ops.settles()
    ops.searches(run)
    task = f"{run}.create-payment.1.1"
    assert ops.tasks() == [task]
    assert "FAILURE" in ops.row(task)
    assert "card_declined" in ops.row(task)
    picture(ops, "tasks-of-a-failed-run")
    ops.page.get_by_role("link", name=task).click()
    ops.page.locator("#task-page").wait_for()
    assert "card_declined" in ops.page.inner_text("#task-page")
    assert ops.page.locator("#task-page button.btn").count() == 0
    # Behind it stands where the exception was raised.
    picture(ops, "failed-task", tallest=930)
    ops.page.locator("#run-link").click()
    ops.page.locator("#run-state").wait_for()
    told = ops.page.inner_text("main")
    assert "failed" in ops.page.inner_text("#run-state")
    assert "card_declined (insufficient_funds)" in told
    assert f"durazzo retry {run}" in told
    assert f"durazzo show {run}" in told
    picture(ops, "failed-run")
    ops.page.locator("#run-tasks").click()
    ops.settles()
    assert ops.page.locator("#tasks-table_filter input").input_value() == run
    assert ops.tasks() == [task]
    ops.page.get_by_role("link", name=f"Run {run}").click()
    ops.page.wait_for_url(f"**/run/{run}")


def test_what_stands_and_what_is_in_doubt_is_told(ops: Looking, picture: Picture) -> None:
    ops.goes_to(f"/run/{ops.scene.unknown.id}")
    told = ops.page.inner_text("main")
    assert "unknown" in ops.page.inner_text("#run-state")
    assert "charged pi_" in told
    assert "may have done it" in told
    picture(ops, "unknown-run")
    ops.goes_to("/runs")
    told = ops.page.inner_text("main")
    assert told.index("Unknown") < told.index("Failed")
    assert ops.scene.unknown.id in told
    assert ops.scene.declined.id in told
    assert ops.scene.paid.id not in told
    picture(ops, "runs")
    ops.page.get_by_role("link", name=ops.scene.unknown.id).click()
    ops.page.locator("#run-state").wait_for()
    ops.goes_to("/run/may-6")
    assert "durazzo batch show may" in ops.page.inner_text("main")


def test_a_run_that_is_not_there_says_what_to_do(ops: Looking) -> None:
    answer = ops.page.goto(f"{ops.scene.flower.url}/run/{MARKUP.replace('/', '%2F')}")
    assert answer is not None
    assert answer.status == 404
    assert "was never accepted here, or its time is over" in ops.page.inner_text("#told")
    assert ops.page.locator("main img").count() == 0
    assert ops.page.title() == "unknown-run · Flower"
    # The browser's own word about the status.
    ops.complaints.clear()


def test_a_name_with_markup_in_it_stays_text(ops: Looking) -> None:
    run = ops.scene.strange.id
    task = f"{run}.send-confirmation{MARKUP}.1.1"
    ops.goes_to(f"/tasks?run={run}")
    ops.settles()
    assert task in ops.tasks()
    assert f"charge-and-sms-confirm{MARKUP}/create-payment" in ops.row(".create-payment.1.1")
    ops.page.get_by_role("link", name=task).click()
    ops.page.locator("#task-page").wait_for()
    assert MARKUP in ops.page.inner_text("#task-page")
    ops.page.locator("#run-link").click()
    ops.page.locator("#run-state").wait_for()
    assert MARKUP in ops.page.inner_text("h1")
    assert MARKUP in ops.page.inner_text("#run-steps")
    for path in ("/runs", "/workers"):
        ops.goes_to(path)
        assert ops.page.locator("main img").count() == 0
    assert "taken" not in ops.page.title()


def test_nothing_that_a_page_could_send_changes_anything(ops: Looking) -> None:
    ops.goes_to("/workers")
    ops.page.locator("#workers-table tbody .worker-name-link").first.wait_for()
    answers = ops.page.evaluate(
        """async ([run, worker]) => Promise.all([
            `/api/worker/shutdown/${worker}`, `/api/task/revoke/${run}.create-payment.1.1`,
            `/api/worker/pool/grow/${worker}?n=1`, `/run/${run}`, "/runs",
        ].map(async path => (await fetch(path, {method: "POST"})).status))""",
        [
            ops.scene.paid.id,
            ops.page.locator("#workers-table tbody .worker-name-link").first.get_attribute("title"),
        ],
    )
    assert answers == [403, 403, 403, 405, 405]
    ops.complaints.clear()
