"""``durazzo demo`` as a newcomer has it: what it ends with, what it shows, what it leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from ops.cli.demo import NEXT
from ops.crew import Crew
from ops.demo.acts import ACTS
from ops.demo.verdict import played, total
from ops.lab import CHECKOUT, wait_for
from ops.sandbox.settings import STRIPE_SECRET_KEY, TWILIO_AUTH_TOKEN
from orchestrator.service import Report

pytestmark = pytest.mark.process

CHARGES = sum(act.charges for act in ACTS)
TEXTS = sum(act.texts for act in ACTS)


@dataclass(slots=True, kw_only=True)
class Show:
    """A demo that runs, with a folder of its own for temporary files."""

    process: subprocess.Popen[bytes]
    temporary: Path
    out: Path
    err: Path
    #: Every process that was ever seen below it.
    seen: set[int] = field(default_factory=set)

    @property
    def lines(self) -> list[str]:
        return self.err.read_text().splitlines()

    def until(self, words: str) -> str:
        """The first line with these words."""
        self.wait(lambda: self.said(words), words)
        self.seen |= below(self.process.pid)
        assert self.said(words), "\n".join(self.lines)
        return self.said(words)

    def wait(self, ready: Callable[[], object], what: str) -> None:
        """Returns as well when the demo has ended."""
        wait_for(lambda: ready() or self.process.poll() is not None, what, seconds=90)

    def said(self, words: str) -> str:
        return next((line for line in self.lines if words in line), "")

    def url(self, name: str) -> str:
        return self.until(f"{name}   http").split()[1]

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """The exit code and what is on stdout."""
        for number in signals:
            self.process.send_signal(number)
        self.process.wait(timeout=30)
        return self.process.returncode, self.out.read_text()

    def left(self) -> list[object]:
        """Processes and files that outlived it."""
        alive = [pid for pid, _, _ in processes() if pid in self.seen]
        return [*alive, *self.temporary.rglob("*")]


def processes() -> Iterator[tuple[int, int, str]]:
    """Process, its parent, its command; not those that ended and that nobody has reaped yet."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        pid, parent, state, *command = line.split(None, 3)
        if not state.startswith("Z"):
            yield int(pid), int(parent), "".join(command)


def below(pid: int) -> set[int]:
    found = {pid}
    table = list(processes())
    while more := {child for child, parent, _ in table if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.fixture
def demo() -> Iterator[Callable[..., Show]]:
    started: list[Show] = []
    # Short: Valkey's socket has its place there.
    with tempfile.TemporaryDirectory(prefix="dz-", dir="/tmp") as folder:

        def begin(*words: str) -> Show:
            home = Path(folder) / str(len(started))
            temporary, out, err = home / "tmp", home / "out", home / "err"
            temporary.mkdir(parents=True)
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.Popen(
                    [sys.executable, "-m", "ops.cli.main", "demo", *words],
                    cwd=CHECKOUT,
                    env={**environ(), "TMPDIR": str(temporary)},
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            started.append(Show(process=process, temporary=temporary, out=out, err=err))
            return started[-1]

        yield begin
        for show in started:
            # Its sweeper ends everything else.
            show.process.kill()
            show.process.wait()


def environ() -> Mapping[str, str]:
    """A person's own settings and credentials are there, and must not be used."""
    kept = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONUTF8": "1"}
    return {
        **kept,
        "DURAZZO_REDIS_URL": "redis://127.0.0.1:1/0",
        "DURAZZO_KEYS": "none",
        "STRIPE_SECRET_KEY": "sk_live_of_somebody",
    }


def test_the_books_hold_what_the_acts_say_and_nothing_is_left(demo: Callable[..., Show]) -> None:
    show = demo("--stay")
    flower, ledger = show.url("Flower"), show.url("Ledger")
    show.until("Open until Ctrl-C")
    books = httpx.get(ledger).json()
    shown = pages(flower)
    code, out = show.end(signal.SIGINT)
    assert code == 0, "\n".join(show.lines)
    assert out == f"{CHARGES} charges, {TEXTS} texts, 0 duplicates\n"
    assert len(books["charges"]) == CHARGES
    assert len(books["messages"]) == TEXTS
    assert books["duplicates"] == {"charges": 0, "messages": 0}
    assert f"{len(ACTS)} of {len(ACTS)} acts came to what they say" in show.said("acts came")
    assert "taken over from a worker that died in its call" in show.said("taken over")
    assert len(show.seen) >= 6, "the sweeper, Valkey, Flower, a worker and its two children"
    assert show.left() == []
    assert "charge-and-sms-confirm/create-payment" in shown
    # Done in the same go as the task before it, and a task of its own all the same.
    assert "charge-and-sms-confirm/send-confirmation" in shown
    assert leaks(shown, books) == []
    assert NEXT.strip() in show.err.read_text()


def pages(flower: str) -> str:
    """All that Flower shows without a login: its pages, and of its API what answers."""
    with httpx.Client(base_url=flower, timeout=10) as client:
        tasks = client.get(f"/tasks/datatable?{urlencode(COLUMNS)}").json()
        workers = client.get("/workers?json=1").json()["data"]
        ids = [task["uuid"] for task in tasks["data"]]
        paths = [
            "/", "/workers?refresh=1", "/tasks", "/broker", "/metrics", "/api/tasks",
            "/api/workers", "/runs", *(f"/run/{task.partition('.')[0]}" for task in ids),
            *(f"/worker/{worker['hostname']}" for worker in workers),
            *(f"/task/{task}" for task in ids), *(f"/api/task/result/{task}" for task in ids),
        ]  # fmt: skip
        revoked = client.post(f"/api/task/revoke/{ids[0]}")
        assert revoked.status_code in {401, 403}, "read-only"
        return json.dumps(tasks) + "".join(client.get(path).text for path in paths)


COLUMNS = {
    "draw": "1", "start": "0", "length": "1000", "search[value]": "", "order[0][column]": "0",
    "order[0][dir]": "asc", "columns[0][data]": "name",
}  # fmt: skip


def leaks(shown: str, books: Mapping[str, Any]) -> list[str]:
    """What is private of the acts' inputs, the books' texts, and the credentials."""
    private = {STRIPE_SECRET_KEY, TWILIO_AUTH_TOKEN, "pm_card_visa", "user@example.com"}
    for message in books["messages"]:
        private |= {message["to"], message["body"]}
    for act in ACTS:
        private |= {str(value) for value in act.inputs.values() if len(str(value)) > 6}
    return [word for word in sorted(private) if word in shown]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_in_the_middle_it_leaves_nothing(
    demo: Callable[..., Show], number: signal.Signals
) -> None:
    show = demo("--json")
    show.until("1/")
    code, out = show.end(number, number)
    assert (code, out) == (130, "")
    assert show.seen
    assert show.left() == []


def test_killed_itself_it_leaves_nothing(demo: Callable[..., Show]) -> None:
    show = demo()
    show.until("1/")
    show.end(signal.SIGKILL)
    wait_for(lambda: show.left() == [], "the sweeper")


def test_a_part_that_breaks_is_named_and_only_logs_are_kept(demo: Callable[..., Show]) -> None:
    # However long this takes on a busy machine, the demo is not over before.
    show = demo("--stay")
    show.url("Flower")
    os.kill(part(show, " flower "), signal.SIGKILL)
    code, _ = show.end()
    assert code == 1
    assert re.search(
        r"demo-part-broke: Flower ended by itself .*: see \S+/Flower.log", show.lines[-2]
    )
    assert str(show.temporary) in show.said("the logs are kept in")
    files = [path for path in show.left() if isinstance(path, Path) and path.is_file()]
    assert {path.suffix for path in files} == {".log"}
    assert [pid for pid in show.left() if isinstance(pid, int)] == []


def test_a_part_has_its_temporary_files_in_the_folder_that_is_removed() -> None:
    """A killed worker's children leave theirs behind."""
    script = "import tempfile; print(tempfile.mkdtemp(prefix='pymp-'), flush=True)"
    with Crew("demo", RuntimeError) as crew:
        made = crew.start("x", [sys.executable, "-c", script], {"TMPDIR": "/nowhere"})
        made.process.wait(timeout=30)
        left = Path(made.log.read_text().strip())
        assert left.parent == crew.folder
        assert left.is_dir()
    assert not left.exists()


def part(show: Show, words: str) -> int:
    """The process below the demo with these words in its command, 0 for none."""
    mine = below(show.process.pid)
    return next((pid for pid, _, command in processes() if pid in mine and words in command), 0)


def test_what_it_says_to_try_next_works(tmp_path: Path) -> None:
    serve, *rest = [line.strip() for line in NEXT.partition("Or ")[2].splitlines()[1:]]
    # A free port and a home of the test's own; everything else as it is printed.
    script = [
        f"cd {tmp_path} && cp -r {CHECKOUT}/specs . && PATH={Path(sys.executable).parent}:$PATH",
        serve.replace("--port 8099", "--port 0").removesuffix("&") + ">/dev/null 2>&1 &",
        "trap 'kill $!' EXIT",
        "while [ ! -s sandbox.env ]; do sleep 0.05; done",
        *(f"{command} || exit" for command in rest),
    ]
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "✓ send_receipt (HTTP 200)" in done.stderr
    ran, listed = re.findall(r"\b[0-9a-z]{26}\b", done.stdout)
    assert ran == listed, "`durazzo runs` lists the run"


def books(*, charges: int, texts: int, duplicates: int = 0) -> dict[str, Any]:
    charge = {"amount": 2000, "currency": "usd"}
    text = {"to": "+15558675301", "body": "Thank you."}
    return {
        "charges": [charge] * charges,
        "messages": [text] * texts,
        "payments": [],
        "requests": [{"path": "/", "status": 200, "key": None}] * (charges + texts),
        "duplicates": {"charges": duplicates, "messages": 0},
    }


def test_a_duplicate_in_the_books_is_a_failure_whatever_the_runs_say() -> None:
    good = total(ACTS, books(charges=CHARGES, texts=TEXTS))
    bad = total(ACTS, books(charges=CHARGES, texts=TEXTS, duplicates=1))
    assert (good.ok, bad.ok) == (True, False)
    assert str(bad) == f"{CHARGES} charges, {TEXTS} texts, 1 duplicate"
    assert not total(ACTS, books(charges=CHARGES, texts=TEXTS - 1)).ok


def test_an_act_that_comes_to_something_else_says_to_what() -> None:
    act = ACTS[0]
    report = Report(run="01", workflow="charge", state="succeeded", outputs={}, steps=[])
    before = books(charges=1, texts=1)
    as_said = played(act, report, before=before, after=books(charges=2, texts=2))
    assert (as_said.ok, list(as_said.problems())) == (True, [])
    name = {"name": "confirmation", "run": "01"}
    assert as_said.as_json() == {**name, "state": "succeeded", "ok": True}
    twice = played(act, report, before=before, after=books(charges=3, texts=2))
    assert list(twice.problems()) == [
        "charges: 1 expected, 2 found",
        "requests: 2 expected, 3 found",
    ]
    failed = played(act, replace(report, state="failed"), before=before, after=before)
    assert "state: succeeded expected, failed found" in failed.problems()
    assert not failed.ok
