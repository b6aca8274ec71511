"""``durazzo demo``: what durazzo promises, played on this machine, by the sandbox's books."""

from __future__ import annotations

import shutil
import signal
import textwrap
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final, Self

import click

from ops.cli import terminal
from ops.cli.commands import Command
from ops.cli.following import Following
from ops.demo.acts import ACTS, Act
from ops.demo.stage import Stage, load, staged
from ops.demo.verdict import Played, played, total
from orchestrator.errors import DurazzoError
from orchestrator.service import Loaded, Report, Run
from orchestrator.service.inspect import SETTLED

#: An act that takes longer has not come to what it says. s.
_LONGEST: Final = 40.0
_POLL_S: Final = 0.1
_NARROWEST: Final = 40
_WIDEST: Final = 100

#: What to type in a fresh clone.
NEXT: Final = """
Next, with Flower and the ledger left open:
  . .venv/bin/activate
  durazzo demo --stay
Or step by step, on the same look-alikes:
  durazzo sandbox --port 8099 --env-file sandbox.env &
  . ./sandbox.env
  durazzo run specs/published/ex-sop-stripe-payment.osop.yaml
  durazzo runs"""


@click.command(cls=Command, example="durazzo demo --stay")
@click.option("--stay", is_flag=True, help="Keep Flower and the ledger open until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print {acts, ledger, seconds}.")
@click.pass_context
def demo(ctx: click.Context, /, *, stay: bool, as_json: bool) -> None:
    """Charge, text, fail, retry, and kill a worker, on look-alikes of the providers.

    Needs no Redis and no account, and leaves nothing behind. Exits with 0 if every act came to
    what it says, with 1 if one did not, and with 130 after Ctrl-C.
    """
    with Interrupts() as interrupts, staged(interrupts.check) as stage:
        try:
            held = Demo(stage).perform(as_json=as_json)
            if held and stay:
                _stay(stage)
        except DurazzoError as error:
            terminal.error(error.code, error.message)
            held = False
        if not held:
            stage.keep_logs()
            terminal.say(f"the logs are kept in {stage.logs}")
    ctx.exit(0 if held else 1)


class Interrupts:
    """Ctrl-C, ``kill`` and a closed terminal are noted, and end the demo at its next ``check``.

    Raised wherever the demo stands, they could leave a process that nobody knows of.
    """

    def __init__(self) -> None:
        self._noted = False

    def __enter__(self) -> Self:
        ends = [signal.SIGINT, signal.SIGTERM]
        # `nohup` has said that a closed terminal is nothing to end for.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            ends.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in ends}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Pressed once more on the way out, Ctrl-C shall not end in a traceback.
        if not self._noted:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def check(self) -> None:
        """Raises KeyboardInterrupt."""
        if self._noted:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._noted = True


class Demo:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._began = time.monotonic()

    def perform(self, *, as_json: bool) -> bool:
        """Whether every act came to what it says, and nothing was done twice."""
        terminal.say(f"{_bold('durazzo demo')}: real processes, and look-alikes of the providers.")
        terminal.say("No account is used, no money moves, and no text leaves this machine.")
        terminal.say("Starting Valkey, two workers and Flower.")
        plays = []
        for number, (act, loaded) in enumerate(self._prepare(), 1):
            plays.append(self._play(number, act, loaded))
            if plays[-1].report.state not in SETTLED:
                break
        return self._close(plays, as_json=as_json)

    def _prepare(self) -> list[tuple[Act, Loaded]]:
        stage = self._stage
        stage.begin()
        # While Flower and the worker start.
        acts = [(act, load(act)) for act in ACTS]
        stage.ready()
        terminal.say("")
        terminal.say(f"Flower   {stage.flower}  (read-only; a deployment's has a login)")
        terminal.say(f"Ledger   {stage.sandbox.url}/ledger  (what was really charged and sent)")
        return acts

    def _play(self, number: int, act: Act, loaded: Loaded) -> Played:
        terminal.say("")
        terminal.say(_bold(f"{number}/{len(ACTS)}  {act.title}"))
        terminal.say(act.shows)
        sandbox, core = self._stage.sandbox, self._stage.core
        before = sandbox.ledger()
        run = self._stage.submit(act, loaded)
        meanwhile = Meanwhile(self._stage, run, act.kill, len(before["charges"]))
        Following(run, core.clock).to_the_end(_LONGEST, meanwhile.check)
        play = played(
            act,
            run.report(),
            before=before,
            after=sandbox.ledger(),
            written=self._stage.written(act, run),
        )
        terminal.say(_ended(play.report))
        for what, found in play.told():
            terminal.say(_row(what, terminal.plain(found)))
        for problem in play.problems():
            terminal.say(_red(f"  WRONG   {problem}"))
        return play

    def _close(self, plays: Sequence[Played], *, as_json: bool) -> bool:
        found = total(ACTS, self._stage.sandbox.ledger(requests=False))
        seconds = time.monotonic() - self._began
        held = len(plays) == len(ACTS) and found.ok and all(play.ok for play in plays)
        terminal.say(_bold("\nThe ledger, by the sandbox's own books"))
        if as_json:
            terminal.put_json({
                "acts": [play.as_json() for play in plays],
                "ledger": found.as_json(),
                "seconds": round(seconds, 1),
            })
        else:
            terminal.out(str(found))
        good = sum(play.ok for play in plays)
        said = f"{good} of {len(ACTS)} acts came to what they say, in {seconds:.0f} s"
        terminal.say(said if held else _red(f"WRONG: {said}; {found.wrong()}"))
        if held:
            terminal.say(NEXT)
        return held


class Meanwhile:
    """What is looked at while a run is followed, and the kill in the middle of its call."""

    def __init__(self, stage: Stage, run: Run, kill: str, charges: int) -> None:
        """``charges``: how many there were before the run was submitted."""
        self._stage = stage
        self._run = run
        self._kill = kill
        self._charges = charges

    def check(self) -> None:
        self._stage.check()
        if self._kill and self._stage.sandbox.summary()["charges"] > self._charges:
            part = self._stage.kill_who_calls(self._run, self._kill)
            symbol = terminal.symbols().failed
            terminal.tick(f"{symbol} {part.name} is killed (SIGKILL, process group {part.pid})")
            self._kill = ""


def _ended(report: Report) -> str:
    """As ``durazzo run`` says it; why a run failed, its last tick has said."""
    span = f" after {_span(report.ended - report.accepted)}" if report.ended else ""
    return terminal.plain(f"{report.state}{span}: {report.workflow}, run {report.run}")


def _span(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else terminal.span(ms)  # noqa: PLR2004


def _row(name: str, text: str) -> str:
    """The name in a column of its own, the text beside it, line by line."""
    width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))
    indent = " " * 11
    wrapped = "\n".join(
        textwrap.fill(
            line, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
        for line in text.splitlines()
        if line.strip()
    )
    return f"  {name:<9}{wrapped.lstrip()}"


def _stay(stage: Stage) -> None:
    """Until Ctrl-C, which is no failure then. Raises PartBroke."""
    terminal.say("")
    terminal.say(f"Open until Ctrl-C: {stage.flower}/tasks and {stage.sandbox.url}/ledger")
    with suppress(KeyboardInterrupt):
        while True:
            stage.check()
            time.sleep(_POLL_S)


def _bold(text: str) -> str:
    return click.style(text, bold=True)


def _red(text: str) -> str:
    return click.style(text, fg="red", bold=True)
