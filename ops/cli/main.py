"""``durazzo``: the entry point, and the edge where every error becomes a line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

import click

from ops.cli import terminal
from ops.cli.commands import LazyGroup
from orchestrator.errors import (
    DocumentRefused,
    DurazzoError,
    InputsRefused,
    JournalUnavailable,
    SettingsRefused,
)
from orchestrator.settings import meant, secret_of, unknown

DETACHED: Final = 130
#: sysexits.h, EX_SOFTWARE: a bug of durazzo's own.
BUG: Final = 70
#: As a shell says it of a process that SIGPIPE ended.
PIPE_CLOSED: Final = 141
#: Commands whose stderr is a log, or read by a shell.
_QUIET: Final = frozenset({"worker", "timekeeper", "health", "completion"})

COMMANDS: Final = {
    "run": ("ops.cli.run:run", "Run a workflow and wait for its end."),
    "start": ("ops.cli.start:start", "Accept a run, print its id, and do not wait for it."),
    "batch": (
        "ops.cli.batch.group:batch",
        "Run a workflow for every row of a file, a window of them at a time.",
    ),
    "validate": (
        "ops.cli.validate:validate",
        "Say what is wrong with a document, where, and what to do.",
    ),
    "explain": (
        "ops.cli.explain:explain",
        "Say what a code means, with an example and what to do.",
    ),
    "graph": ("ops.cli.graph:graph", "Draw a workflow as a Mermaid flowchart."),
    "runs": ("ops.cli.runs:runs", "List the latest runs, newest first."),
    "show": ("ops.cli.runs:show", "Show one run: its steps, and what failed."),
    "cancel": ("ops.cli.control:cancel", "End a run without what it has not begun."),
    "pause": ("ops.cli.control:pause", "Let a run begin nothing more until it is resumed."),
    "resume": ("ops.cli.control:resume", "Let a paused run go on."),
    "retry": (
        "ops.cli.control:retry",
        "Let a run that failed or was cancelled go on from the step that failed.",
    ),
    "resolve": (
        "ops.cli.resolve:resolve",
        "Say what became of a step that is unknown, and carry its run on.",
    ),
    "forget": (
        "ops.cli.forget:forget",
        "Erase what a run that has ended knows of its customer.",
    ),
    "stop-all": (
        "ops.cli.stop:stop_all",
        "Let no worker call a provider any more, until it goes on.",
    ),
    "go-on": ("ops.cli.stop:go_on", "Let a provider that was stopped be called again."),
    "worker": ("ops.cli.worker:worker", "Execute steps, until Ctrl-C or SIGTERM."),
    "timekeeper": ("ops.cli.worker:timekeeper", "Keep time for the workers, executing no step."),
    "health": (
        "ops.cli.health:health",
        "Say whether workers, or timekeepers, of this machine are well.",
    ),
    "metrics": ("ops.cli.metrics:metrics", "Serve /metrics for Prometheus, and /healthz."),
    "flower": ("ops.cli.flower:flower", "Show the workers' tasks in a browser."),
    "demo": (
        "ops.cli.demo:demo",
        "Charge, text, fail, retry, and kill a worker, on look-alikes of the providers.",
    ),
    "sandbox": (
        "ops.cli.sandbox:sandbox",
        "Serve look-alikes of Stripe, Twilio, Fintecture and Anthropic.",
    ),
    "keys": ("ops.cli.keys:keys", "Show what each sealing key seals, make a new one, and rotate."),
    "doctor": ("ops.cli.doctor.command:doctor", "Say what is missing, and what to do."),
    "completion": (
        "ops.cli.completion:completion",
        "Print what makes a shell complete durazzo's words.",
    ),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    example="""\
durazzo sandbox --port 8020 --env-file sandbox.env &
. ./sandbox.env
durazzo run order.arazzo.yaml -i amount=2000 -i toPhone=+15558675310""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="durazzo", message="durazzo %(version)s")
def cli() -> None:
    """Run API workflows, written as Arazzo or OSOP documents, so that they finish.

    Without DURAZZO_REDIS_URL there is nothing to install or to start: durazzo keeps a server
    of its own, and `run` brings its own worker. Every command knows -h.
    """


def main() -> NoReturn:
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """The exit code of a command line; nothing is raised."""
    terminal.prepare()
    _warn(arguments)
    debug = os.environ.get("DURAZZO_DEBUG") == "1"
    try:
        returned = cli.main(list(arguments), prog_name="durazzo", standalone_mode=False)
    except click.ClickException as error:
        with terminal.beside():
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        terminal.say("interrupted")
        return DETACHED
    except SystemExit:
        # click's own end for a pipe that was closed while it wrote its help.
        return _lost(terminal.OutputLost(errno.EPIPE))
    except Exception as error:  # noqa: BLE001  the edge: whatever it is becomes a line and a code
        if debug:
            with terminal.beside():
                traceback.print_exc()
        return _told(error, debug=debug)
    return returned if isinstance(returned, int) else 0


def _warn(arguments: Sequence[str]) -> None:
    """Of settings that are none. Not in a worker's log, and not while a shell completes a word."""
    if "_DURAZZO_COMPLETE" in os.environ or set(arguments[:1]) & _QUIET:
        return
    for name in unknown(os.environ):
        hint = f"; did you mean {close}?" if (close := meant(name)) else ""
        terminal.say(terminal.plain(f"warning: {name} is no setting of durazzo's{hint}"))


def _told(error: Exception, *, debug: bool) -> int:
    match error:
        case terminal.OutputLost():
            return _lost(error)
        case DurazzoError():
            return _explain(error)
        case OSError(errno=int(number)) if _place(error).filename == click.utils.__file__:
            # click writes its help past ``terminal``.
            return _lost(terminal.OutputLost(number))
        case _:
            return _bug(error, debug=debug)


def _lost(error: terminal.OutputLost) -> int:
    terminal.silence(sys.stdout)
    if error.piped:
        return PIPE_CLOSED
    terminal.error(error.code, error.message)
    return error.exit_code


def _explain(error: DurazzoError) -> int:
    match error:
        case DocumentRefused(diagnostics=diagnostics):
            terminal.show_diagnostics(diagnostics)
            count = sum(d.severity == "error" for d in diagnostics)
            errors = "1 error" if count == 1 else f"{count} errors"
            terminal.error(error.code, f"the document has {errors}")
            if sys.stderr is not None and sys.stderr.isatty():
                code = next(d.code for d in diagnostics if d.severity == "error")
                terminal.say(f"durazzo explain {code} tells more")
        case InputsRefused(problems=problems):
            for problem in problems:
                terminal.error(error.code, problem)
        case JournalUnavailable(message=message):
            terminal.error(error.code, f"{message}{_which_redis()}")
        case _:
            terminal.error(error.code, error.message)
    return error.exit_code


def _which_redis() -> str:
    """Where it should be, without a password, and what to do."""
    try:
        parts = urlsplit(secret_of("DURAZZO_REDIS_URL", os.environ))
        where = f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path
    except (SettingsRefused, ValueError):
        return ""
    if not where:
        return ": the embedded server; durazzo doctor looks closer"
    return (
        f": DURAZZO_REDIS_URL names {where}; start it, or unset the variable for a server of"
        " durazzo's own; durazzo doctor looks closer"
    )


def _bug(error: Exception, *, debug: bool) -> int:
    """Its message may hold an input: only its type and its place are shown."""
    frame = _place(error)
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    hint = "" if debug else "; set DURAZZO_DEBUG=1 for the traceback"
    terminal.error("bug", f"unexpected {type(error).__name__} at {place}{hint}")
    return BUG


def _place(error: Exception) -> traceback.FrameSummary:
    """Where it was raised: what is caught has a frame of ours at least."""
    return traceback.extract_tb(error.__traceback__)[-1]


if __name__ == "__main__":
    main()
