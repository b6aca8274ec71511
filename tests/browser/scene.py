"""What the browser looks at: a Flower that hears a worker, a batch, and runs that came to grief."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.lab import CHECKOUT
from orchestrator.plan import codec
from orchestrator.plan.model import Plan
from orchestrator.service import Run
from tests.process.house import CHARGE_AND_TEXT, DECLINED, House, house, plan_of, wait_for
from tests.process.test_flower import PASSWORD, USER, Shown, flower, hear

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route, ViewportSize

WIDE: ViewportSize = {"width": 1280, "height": 800}
#: A number that no page has by chance.
AMOUNT = 271828
#: Without a space or a dot: ids have none.
MARKUP = "<img/src=x/onerror=document.title='taken'>"
ROWS = 12


@dataclass(slots=True, kw_only=True)
class Scene:
    home: House
    flower: Shown
    #: Inputs of every run there is.
    inputs: list[Mapping[str, Any]] = field(default_factory=list)
    paid: Run
    declined: Run
    strange: Run
    unknown: Run

    def batch(self, name: str, rows: int) -> None:
        """Accepted, and on its way. One row of each ten is declined."""
        file = self.home.folder / f"{name}.csv"
        cards = ["pm_card_visa", *["pm_card_visa"] * 4, DECLINED, *["pm_card_visa"] * 4]
        with file.open("w") as stream:
            writer: Any = None
            for number in range(rows):
                inputs = self.home.charge_inputs(
                    amount=AMOUNT, paymentMethod=cards[number % len(cards)]
                )
                self.inputs.append(inputs)
                writer = writer or csv.DictWriter(stream, list(inputs))
                if not number:
                    writer.writeheader()
                writer.writerow(inputs)
        self.durazzo(
            "batch", "start", str(CHARGE_AND_TEXT), "--data", str(file), "--id", name, "--yes",
            "--detach", "--window", "4",
        )  # fmt: skip

    def durazzo(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ops.cli.main", *words],
            env={**self.home.environ, "DURAZZO_HOME": str(self.home.folder / "home")},
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.stdout


@dataclass(slots=True)
class Looking:
    """A person at a browser. Everything that reaches it is kept."""

    scene: Scene
    context: BrowserContext
    page: Page
    bodies: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)

    def goes_to(self, path: str) -> None:
        self.page.goto(f"{self.scene.flower.url}{path}")
        self.bodies.append(self.page.content())

    def searches(self, words: str) -> None:
        box = self.page.locator("#tasks-table_filter input")
        with self.page.expect_response("**/tasks/datatable", timeout=60_000):
            box.fill(words)
        self.settles()

    def settles(self) -> None:
        """The table shows what was asked for last."""
        self.page.wait_for_load_state("networkidle")
        self.page.locator("#tasks-table_processing").wait_for(state="hidden")
        self.bodies.append(self.page.content())

    def tasks(self) -> list[str]:
        """Ids of the tasks in the table."""
        found: list[str] = self.page.locator("#tasks-table .task-uuid-full").all_inner_texts()
        return found

    def row(self, task: str) -> str:
        found: str = self.page.locator("#tasks-table tbody tr", has_text=task).first.inner_text()
        return found


@contextmanager
def looking(scene: Scene, chromium: Browser, *, login: bool = True) -> Iterator[Looking]:
    context = chromium.new_context(viewport=WIDE, timezone_id="UTC", locale="en-GB")
    context.set_default_timeout(60_000)
    if login:
        context.set_extra_http_headers({"Authorization": _basic()})
    found = Looking(scene, context, context.new_page())

    def keep(route: Route) -> None:
        response = route.fetch()
        found.bodies.append(json.dumps(response.headers) + response.text())
        route.fulfill(response=response)

    # Of what is text: fonts and pictures hold nothing of ours.
    context.route(lambda url: not url.endswith((".ico", ".png")), keep)
    found.page.on("console", lambda said: found.complaints.append(said.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("websocket", lambda socket: found.sockets.append(socket.url))
    try:
        yield found
    finally:
        context.close()


def _basic() -> str:
    return f"Basic {b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


def strange() -> Plan:
    """As published, but for its names."""
    text = codec.encode(plan_of(CHARGE_AND_TEXT)).decode()
    for name in ("charge-and-sms-confirm", "send-confirmation"):
        assert name in text
        text = text.replace(name, f"{name}{MARKUP}")
    return codec.decode(text.encode())


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    with house(folder) as home, flower(home) as shown:
        home.worker(pool="threads", concurrency=4)
        hear(shown)
        yield played(home, shown)


def played(home: House, shown: Shown) -> Scene:
    plan = plan_of(CHARGE_AND_TEXT)
    cards = ("pm_card_visa", DECLINED, "pm_card_visa")
    inputs = [home.charge_inputs(amount=AMOUNT, paymentMethod=card) for card in cards]
    paid, declined = home.submit(plan, inputs[0]), home.submit(plan, inputs[1])
    odd = home.submit(strange(), inputs[2])
    assert [run.wait(60) for run in (paid, declined, odd)] == ["succeeded", "failed", "succeeded"]
    # Sent, its answer lost, and nobody at the provider to ask.
    home.sandbox.faults([
        {"match": "POST /twilio/*", "do": "drop_after"},
        {"match": "GET /twilio/*", "do": "status", "status": 503, "times": None},
    ])
    inputs.append(home.charge_inputs(amount=AMOUNT))
    unknown = home.submit(plan, inputs[-1])
    assert unknown.wait(60) == "unknown"
    found = Scene(
        home=home, flower=shown, inputs=[*inputs], paid=paid, declined=declined, strange=odd,
        unknown=unknown,
    )  # fmt: skip
    found.batch("may", ROWS)
    wait_for(
        lambda: json.loads(found.durazzo("batch", "show", "may", "--json"))["state"] == "finished",
        "the batch's end",
        seconds=90,
    )
    return found
