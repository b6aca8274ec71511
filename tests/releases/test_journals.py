"""A run that an older release began is finished by this one, whatever state it was left in.

Each journal that was recorded (``record.py``) is put into a real server, the clocks are set to its
time, and a worker of today carries it on. The judge is the sandbox's ledger, in which the calls
that the old worker sent and did not hear of have been carried out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from ops import lab
from ops.sandbox.server import BackgroundSandbox
from orchestrator.canvas import messages
from orchestrator.engine import state as engine_state
from orchestrator.engine.events import fold
from orchestrator.engine.state import Phase, State, Status
from orchestrator.errors import RunKeyConflict
from orchestrator.journal.keys import Keys
from orchestrator.plan import codec
from orchestrator.service import Run
from orchestrator.service.resolve import Verdict, resolve
from orchestrator.wiring import connect
from tests.releases.hands import Hands, Offset
from tests.releases.record import JOURNALS, STATES, bytes_of, inputs, main, plan, record
from workers import render
from workers.http import rewrite
from workers.render import FrozenRequest

pytestmark = pytest.mark.server

FILES: Final = sorted(JOURNALS.glob("*/*.json"))
#: Charges and texts when all is done, by what the state's name begins with; else one of each.
LEDGER: Final = {
    "charge.failed": (0, 0),
    "charge.retried": (0, 0),
    # Done before it was recorded, so in another sandbox's books.
    "charge.succeeded": (0, 0),
    "charge.duties-undone": (0, 0),
    "charge.next-ready": (0, 1),
    "charge.settled": (0, 1),
    "charge.text-": (0, 1),
    "charge.waiting-for-a-person": (0, 1),
    "charge.paused-in-a-call": (0, 1),
    "charge.cancelling-in-a-call": (1, 0),
    "dunning.finished": (0, 0),
    "dunning.": (0, 1),
    "osop.ready": (1, 0),
    "osop.calling-sent": (1, 0),
    "osop.": (0, 0),
    "transfer.": (0, 0),
}
#: What the old worker sent, and the provider carried out, though no answer was seen.
SENT: Final = re.compile(r"calling-sent|in-doubt|unknown|lost-answer|in-a-call")
#: Calls of which a person must say what became of them.
SAID: Final[dict[str, Verdict]] = {
    "charge.text-calling-unsent": "resend",
    "charge.cancelling-in-a-call": "succeeded",
}
ENDS: Final = {
    "charge.failed": Status.FAILED,
    "charge.retried": Status.FAILED,
    "charge.cancelling-in-a-call": Status.CANCELLED,
}


class Recorded:
    def __init__(self, file: Path, hands: Hands) -> None:
        self.name = file.stem
        self.hands = hands
        self._plain: dict[str, Any] = json.loads(file.read_text())
        self.run: str = self._plain["run"]
        self.workflow: str = self._plain["workflow"]
        self._load()

    def _load(self) -> None:
        client = self.hands.client
        client.flushall()
        for key, value in self._plain["keys"].items():
            match value:
                case {"hash": fields}:
                    client.hset(key, mapping={k: bytes_of(v) for k, v in fields.items()})
                case {"list": lines}:
                    client.rpush(key, *map(bytes_of, lines))
                case {"zset": scores}:
                    client.zadd(key, scores)
                case _:
                    client.set(key, bytes_of(value["string"]))
        real = self.hands.wiring.core.journal.now()
        self.hands.pass_time(self._plain["now"] - real)

    def carry_out(self) -> None:
        """At the provider: the call of which the old worker saw no answer."""
        state = self.hands.state(self.run)
        for step, visit in state.visits.items():
            if visit.phase not in {Phase.SUCCEEDED, Phase.FAILED}:
                frozen = self._frozen(step)
                self._send(FrozenRequest.load(frozen))

    def _frozen(self, step: str) -> bytes:
        journal: Any = self.hands.wiring.core.journal
        sealed = self.hands.client.hget(Keys().data(self.run), f"q:{step}")
        opened: bytes = journal._seal.open(sealed, f"{self.run}:q:{step}")
        return opened

    def _send(self, request: FrozenRequest) -> None:
        settings = self.hands.wiring.settings
        env = settings.environ
        stripe = (env["STRIPE_SECRET_KEY"], "")
        twilio = (env["TWILIO_ACCOUNT_SID"], env["TWILIO_AUTH_TOKEN"])
        headers = {n: "".join(map(str, p)) for n, p in request.headers if n != "Authorization"}
        httpx.request(
            request.method, rewrite(request.url, settings.servers), headers=headers,
            content=request.body, auth=stripe if request.provider == "stripe" else twilio,
        ).raise_for_status()  # fmt: skip

    def finish(self) -> State:
        if self.hands.state(self.run).paused:
            self.hands.wiring.core.journal.control(self.run, "resume", by="sam", reason="")
        state = self.hands.finish(self.run)
        if (said := SAID.get(self.name)) is None:
            return state
        assert state.status is Status.UNKNOWN
        core = self.hands.wiring.core
        step = next(s for s, visit in state.visits.items() if visit.phase is Phase.UNKNOWN)
        names = [n for n, _ in core.plans.graph(state.plan).steps[step].outputs]
        outputs = dict.fromkeys(names, "by hand") if said == "succeeded" else None
        resolve(core, self.run, step, said, by="sam", reason="asked there", outputs=outputs)
        return self.hands.finish(self.run)


def without_entries(state: State) -> State:
    """0.1 did not write down when it came to a step; its events tell."""
    visits = {step: replace(visit, entered_at=0) for step, visit in state.visits.items()}
    return replace(state, visits=visits)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with lab.valkey(tmp_path_factory.mktemp("valkey")) as found:
        yield found


@pytest.fixture
def hands(url: str) -> Iterator[Hands]:
    clock = Offset()
    # Its worker would remember what another test's had begun, and that it is gone.
    with connect(url) as client:
        client.flushall()
    with BackgroundSandbox(clock=clock) as sandbox:
        found = Hands(url, sandbox, clock)
        yield found
        found.close()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}.{f.stem}")
def test_a_run_of_an_older_release_is_finished_and_nothing_is_done_twice(
    file: Path, hands: Hands
) -> None:
    old = Recorded(file, hands)
    if SENT.search(old.name):
        old.carry_out()
    state = old.finish()
    assert state.end == ENDS.get(old.name, Status.SUCCEEDED)
    assert hands.due(old.run) is None, "no duty is left"
    run = Run(hands.wiring.core, old.run)
    assert without_entries(fold(run.history())) == without_entries(state)
    assert run.report().workflow == plan(old.workflow).name
    ledger = hands.sandbox.ledger()
    expected = next((n for name, n in LEDGER.items() if old.name.startswith(name)), (1, 1))
    assert (len(ledger["charges"]), len(ledger["messages"])) == expected
    assert ledger["duplicates"] == {"charges": 0, "messages": 0}


def test_a_run_key_of_an_older_release_stands_for_its_run(hands: Hands) -> None:
    old = Recorded(JOURNALS / "0.1" / "charge.ready-with-a-run-key.json", hands)
    given = inputs("charge", hands.sandbox.env)
    assert hands.submit(plan("charge"), given, key="order-1042") == old.run
    with pytest.raises(RunKeyConflict):
        hands.submit(plan("charge"), {**given, "amount": 1}, key="order-1042")


def test_every_state_that_can_be_recorded_was() -> None:
    """Of the latest release; of an older one those that it knew."""
    states = {f"{workflow}.{name}" for workflow, names in STATES.items() for name in names}
    latest = max({file.parent.name for file in FILES}, key=_number)
    assert {file.stem for file in FILES if file.parent.name == latest} == states


def _number(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def test_what_a_release_wrote_is_never_written_again() -> None:
    before = {file: file.read_bytes() for file in FILES}
    with pytest.raises(SystemExit, match="never written again"):
        main("0.1")
    assert {file: file.read_bytes() for file in FILES} == before


def test_the_version_that_scripts_see_is_raised_with_every_other() -> None:
    """They see the run's hash only: what has a version of its own must not run ahead of it."""
    others = {"plan": codec.VERSION, "messages": messages.VERSION, "request": render._VERSION}
    assert max(others.values()) <= engine_state.VERSION, others


def test_what_this_release_writes_can_be_recorded(tmp_path: Path) -> None:
    written = record(tmp_path / "next")
    assert len(written) == sum(map(len, STATES.values()))
    assert all(json.loads(file.read_text())["keys"] for file in written)
