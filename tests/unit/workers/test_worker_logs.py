"""A worker's log: JSON for machines, lines for a person, and the same masks on both."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import click
import pytest
import structlog
from celery.exceptions import SecurityWarning
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SettingsRefused
from orchestrator.journal.seal import new_key
from orchestrator.settings import Settings, from_environ
from workers import logs
from workers.logs import JSON, Console, Form
from workers.redaction import MASK, Redaction

CONSOLE = Form(console=True)
FORMS = pytest.mark.parametrize("form", [JSON, CONSOLE], ids=["json", "console"])
PASSWORD = "tr0ub4dor-and-3"
ATTEMPT = {
    "outcome": "succeeded", "step": "pay", "code": "", "status": 200, "run": "01m7ze6hm1",
    "attempt": 2, "error": None,
}  # fmt: skip

Logged = Callable[[Form], io.StringIO]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def _untouched() -> Iterator[None]:
    """What ``configure_worker`` sets for a whole process is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    tamed = {name: logging.getLogger(name).level for name in logs._TAMED}
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        root.handlers = handlers
        root.setLevel(level)
        for name, before in tamed.items():
            logging.getLogger(name).setLevel(before)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What a worker in this process writes from now on."""
    with _untouched():

        def begin(form: Form) -> io.StringIO:
            stream = io.StringIO()
            monkeypatch.setattr(sys, "stderr", stream)
            logs.configure_worker("INFO", form)
            return stream

        yield begin


def test_on_a_terminal_an_event_is_a_line_with_its_ids_first(logged: Logged) -> None:
    stream = logged(CONSOLE)
    structlog.get_logger().info("attempt.finished", **ATTEMPT)
    line = stream.getvalue()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}Z info    +\d+ attempt\.finished .*\n", line)
    told = line.split("attempt.finished ")[1]
    assert told == "run=01m7ze6hm1 step=pay attempt=2 outcome=succeeded status=200\n"


def test_elsewhere_an_event_is_a_json_object_with_all_its_fields(logged: Logged) -> None:
    stream = logged(JSON)
    structlog.get_logger().info("attempt.finished", **ATTEMPT)
    found = json.loads(stream.getvalue())
    assert {name: found[name] for name in ATTEMPT} == ATTEMPT
    assert (found["event"], found["level"]) == ("attempt.finished", "info")
    assert found["at"].endswith("Z")


@FORMS
def test_a_line_says_which_process_it_is_from(logged: Logged, form: Form) -> None:
    stream = logged(form)
    structlog.get_logger().info("worker.died", pid=1)
    logging.getLogger("celery").info("ready")
    for line in stream.getvalue().splitlines():
        said = json.loads(line)["process"] if form is JSON else int(line.split()[2])
        assert said == os.getpid()


@FORMS
def test_what_is_private_is_masked_in_either_form(logged: Logged, form: Form) -> None:
    stream = logged(form)
    log = structlog.get_logger()
    log.info("a.b", said="sk_live_abcdef to +15005550006", to="Jane", seen={"card": "x", "n": [1]})
    logging.getLogger("celery").warning("card %s", "4242424242424242")
    text = stream.getvalue()
    assert text.count(MASK) == 5
    for private in ("abcdef", "5550006", "Jane", '"x"', "4242"):
        assert private not in text


@FORMS
def test_what_libraries_say_is_a_line_of_the_same_form(logged: Logged, form: Form) -> None:
    stream = logged(form)
    logging.getLogger("celery.apps.worker").info("w1@host ready.\n[tasks]")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old\nand gone", stacklevel=1)
        logging.captureWarnings(capture=False)
    first, second = stream.getvalue().splitlines()
    assert "w1@host ready." in first
    assert "celery.apps.worker" in first
    assert "UserWarning: old" in second
    assert "py.warnings" in second


@FORMS
@pytest.mark.parametrize("userinfo", [":p@", "alice:p%40w@", "alice:p@w@", "alice@"])
def test_a_url_of_a_library_has_lost_who_and_their_password(
    logged: Logged, form: Form, userinfo: str
) -> None:
    stream = logged(form)
    logging.getLogger("celery").info("Connected to redis://%sr.example:6379/0", userinfo)
    assert "Connected to redis://r.example:6379/0" in stream.getvalue()


@FORMS
def test_of_a_librarys_exception_there_is_only_its_type(logged: Logged, form: Form) -> None:
    stream = logged(form)
    try:
        int("Jane owes 20")
    except ValueError:
        logging.getLogger("celery").exception("consumer lost", stack_info=True)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "ValueError" in text
    assert "Jane" not in text
    assert "Traceback" not in text
    assert "Stack" not in text


@FORMS
@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "kombu.transport.redis"])
def test_http_clients_and_kombu_are_heard_from_warnings_on(
    logged: Logged, form: Form, name: str
) -> None:
    stream = logged(form)
    logging.getLogger(name).info("GET /v1/charges")
    assert not stream.getvalue()
    logging.getLogger(name).warning("gone")
    assert "gone" in stream.getvalue()


TEXT = st.text(st.characters(), max_size=50)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(name=TEXT, fields=st.dictionaries(TEXT, VALUES, max_size=4))
def test_whatever_an_event_holds_it_is_one_line_without_control_characters(
    name: str, fields: dict[str, Any]
) -> None:
    event = {"at": "2026-03-01T09:30:02.774918Z", "level": "info", **fields, "event": name}
    assert Console(colour=False)({}, "info", event).isprintable()


def test_a_value_with_spaces_or_an_equals_sign_is_no_other_field() -> None:
    event = {"event": "a.b", "said": "run=1 step=2", "check": "x=1", "seen": 'a"b', "plain": "ok-1"}
    shown = Console(colour=False)({}, "info", event)
    assert shown.endswith(r'a.b said="run=1 step=2" check="x=1" seen="a\"b" plain=ok-1')


def test_a_long_value_is_cut_on_a_terminal() -> None:
    shown = Console(colour=False)({}, "info", {"event": "a.b", "said": "x" * 100_000})
    assert len(shown) < 1_100
    assert shown.endswith("x…")


def test_colours_change_no_word() -> None:
    event = {"at": "2026-03-01T09:30:02.774918Z", "level": "error", "event": "a.b", "run": "1"}
    plain, coloured = (Console(colour=c)({}, "info", dict(event)) for c in (False, True))
    assert coloured != plain
    assert click.unstyle(coloured) == plain


@pytest.mark.parametrize(
    ("environ", "terminal", "console", "colour"),
    [
        ({}, True, True, True),
        ({}, False, False, False),
        ({"DURAZZO_LOG": "json"}, True, False, True),
        ({"DURAZZO_LOG": "console"}, False, True, False),
        ({"NO_COLOR": "1"}, True, True, False),
    ],
)
def test_a_terminal_is_written_to_as_one_unless_the_setting_says_otherwise(
    environ: dict[str, str], *, terminal: bool, console: bool, colour: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    found = logs.form_for(from_environ({"HOME": "/", **environ}), stream)
    assert (found.console, found.colour) == (console, colour)


@pytest.mark.parametrize("text", ["JSON", "text", "1", " ", "\udcff", "x" * 10_000])
def test_a_form_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        from_environ({"HOME": "/", "DURAZZO_LOG": text})
    assert caught.value.message == "DURAZZO_LOG must be json or console, or not set"


@FORMS
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_worker_of_roots_says_so_in_one_line_and_knows_redis_password(
    form: Form, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(logs, "redaction", Redaction())
    settings = Settings(
        redis_url=f"redis://:{PASSWORD}@h/0", log="console" if form.console else "json"
    )
    with _untouched():
        logs.configure_from("INFO", settings, stream)
        structlog.get_logger().info("a.b", said=f"it is {PASSWORD}.")
    lines = stream.getvalue().splitlines()
    assert ["worker.is-root" in line for line in lines] == [True, False][uid > 0 :]
    assert f"it is {MASK}." in lines[-1]


def test_celery_prints_neither_its_banner_nor_a_warning_about_root() -> None:
    worker = SimpleNamespace(quiet=False)
    with warnings.catch_warnings(record=True) as caught:
        logs.hush(instance=worker, sender="w1@host")
        warnings.warn(SecurityWarning("You are root"), stacklevel=1)
    assert worker.quiet
    assert caught == []


class Careless:
    """Its own text cannot be had."""

    def __str__(self) -> str:
        raise ValueError(PASSWORD)


def _raise(error: BaseException) -> None:
    raise error


@FORMS
def test_of_durazzos_own_exceptions_there_is_only_their_type_as_well(
    logged: Logged, form: Form
) -> None:
    stream = logged(form)
    try:
        try:
            _raise(ValueError(PASSWORD))
        except ValueError as cause:
            raise KeyError(PASSWORD) from cause
    except KeyError as error:
        structlog.get_logger().exception("a.b", stack_info=True)
        structlog.get_logger().error("a.c", exc_info=error)
    structlog.get_logger().info("a.d", seen=Careless())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all("KeyError" in line for line in lines[:2])
    assert "Careless" in lines[2]
    for private in (PASSWORD, "Traceback", "Stack", "exc_info"):
        assert private not in stream.getvalue()


@FORMS
def test_what_nobody_caught_is_a_line_with_type_and_place(logged: Logged, form: Form) -> None:
    stream = logged(form)
    thread = threading.Thread(target=_raise, args=(ValueError(PASSWORD),))
    thread.start()
    thread.join()
    quiet = threading.Thread(target=_raise, args=(SystemExit(),))
    quiet.start()
    quiet.join()
    try:
        _raise(KeyError(PASSWORD))
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)

    class Fragile:
        def __del__(self) -> None:
            raise OSError(PASSWORD)

    Fragile()
    lines = stream.getvalue().splitlines()
    assert [kind in line for kind, line in zip(KINDS, lines, strict=True)] == [True] * 3
    assert all("python.uncaught" in line and "test_worker_logs.py:" in line for line in lines)
    assert PASSWORD not in stream.getvalue()


KINDS = ("ValueError", "KeyError", "OSError")


@FORMS
def test_what_is_logged_about_a_run_has_its_ids_also_where_a_library_says_it(
    logged: Logged, form: Form
) -> None:
    stream = logged(form)
    with logs.about("01m7ze6hm1dwerb9rpgz3tsnkb-17", step="pay", visit=2):
        structlog.get_logger().info("a.b", step="other")
        structlog.contextvars.bind_contextvars(attempt=3)
        logging.getLogger("celery").info("ready")
    with logs.about("01m7ze6hm1dwerb9rpgz3tsnkb"):
        structlog.get_logger().info("a.c")
    structlog.get_logger().info("a.d")
    own, foreign, single, outside = stream.getvalue().splitlines()
    for line, step in ((own, "other"), (foreign, "pay")):
        for name, value in (
            ("run", "01m7ze6hm1dwerb9rpgz3tsnkb-17"), ("step", step), ("visit", 2),
            ("batch", "01m7ze6hm1dwerb9rpgz3tsnkb"),
        ):  # fmt: skip
            assert (
                (json.loads(line)[name] == value) if form is JSON else (f"{name}={value}" in line)
            )
    assert "attempt" in foreign
    assert "batch" not in single
    assert "run" not in outside


@FORMS
def test_the_sealing_keys_are_in_no_line(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, keys = io.StringIO(), [new_key(), new_key()]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logs, "redaction", Redaction())
    settings = Settings(keys=", ".join(keys), log="console" if form.console else "json")
    with _untouched():
        logs.configure_process("INFO", settings, stream)
        structlog.get_logger().info("a.b", said=f"{keys[0]}")
        structlog.get_logger().info("a.c", said=f"x{keys[1]}")
    assert not any(key in stream.getvalue() for key in keys)
