"""Whatever is logged, in whatever way: a secret that is known is in no line, in no form of it."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.workers.test_worker_logs import _untouched
from workers import logs
from workers.logs import JSON, Form
from workers.redaction import Redaction

#: What real ones are made of, and what makes encodings differ.
SECRETS: Final = st.text(
    st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from("éß€😀 /+&<>'\"\\%"),
    min_size=8,
    max_size=40,
).filter(lambda text: len(set(text)) > 4)
#: What stands around a secret where it was encoded together with it.
AROUND: Final = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4)

Encoding = Callable[[str], str]


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def lower_percent(text: str) -> str:
    shown = quote(text, safe="")
    return "".join(
        shown[at : at + 3].lower() if shown[at] == "%" else shown[at]
        for at in range(len(shown))
        if "%" not in shown[max(0, at - 2) : at]
    )


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "percent, lower": lower_percent,
    "json": lambda text: json.dumps(text)[1:-1],
    "json, unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "html": html.escape,
    "repr": lambda text: repr(text)[1:-1],
    "bytes": lambda text: repr(text.encode())[2:-1],
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}


def in_base64(secret: str, before: str, after: str, *, url_safe: bool) -> tuple[str, str]:
    """What is logged, and the part of it that only the secret decides."""
    at = len(before.encode())
    size = len(secret.encode())
    text = base64_of(before + secret + after)
    text = text.translate(str.maketrans("+/", "-_")) if url_safe else text
    return text, text[-(-8 * at // 6) : 8 * (at + size) // 6]


Shape = Callable[[str], object]
SHAPES: Final[Mapping[str, Shape]] = {
    "event": lambda text: structlog.get_logger().info(f"a {text} b"),
    "argument": lambda text: structlog.get_logger().info("a %s", text),
    "field": lambda text: structlog.get_logger().info("a.b", said=f"x={text}&y"),
    "name": lambda text: structlog.get_logger().info("a.b", **{f"of {text}": 1}),
    "deep": lambda text: structlog.get_logger().info("a.b", seen={"x": [{"y": (text, 1)}]}),
    "key": lambda text: structlog.get_logger().info("a.b", seen={"x": {text: 1}}),
    "set": lambda text: structlog.get_logger().info("a.b", seen={text}),
    "bytes": lambda text: structlog.get_logger().info("a.b", seen=text.encode()),
    "exception": lambda text: structlog.get_logger().info("a.b", seen=ValueError(text)),
    "raised": lambda text: structlog.get_logger().error("a.b", exc_info=ValueError(text)),
    "bound": lambda text: structlog.get_logger().bind(seen=text).info("a.b"),
    "library": lambda text: logging.getLogger("celery").warning("a %s", text),
    "library's mapping": lambda text: logging.getLogger("redis").warning("a %(x)s", {"x": text}),
    "library's object": lambda text: logging.getLogger("urllib3").error(ValueError(text)),
    "library's exception": lambda text: logging.getLogger("asyncio").error(
        "lost", exc_info=ValueError(text)
    ),
    "warning": lambda text: warnings.warn(text, stacklevel=1),
    "uncaught": lambda text: sys.excepthook(ValueError, ValueError(text), None),
}


@contextmanager
def _written(redaction: Redaction, form: Form) -> Iterator[io.StringIO]:
    """What a worker writes meanwhile."""
    with _untouched(), pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setattr(sys, "stderr", stream)
        patch.setattr(logs, "redaction", redaction)
        logs.configure_worker("INFO", form)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=True)
            yield stream


class Blind(Redaction):
    """It masks nothing: what a test finds then is what it would find in a leak."""

    def text(self, text: str) -> str:
        return text


FORMS: Final = st.sampled_from([JSON, Form(console=True)])


def _holds(line: str, form: str) -> bool:
    """As it is, or as the line's own JSON escapes it."""
    written = {form, json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]}
    return any(one in line for one in written)


def _line(redaction: Redaction, form: Form, shape: str, text: str) -> str:
    with _written(redaction, form) as stream:
        SHAPES[shape](text)
    return stream.getvalue()


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    secret=SECRETS,
    encoding=st.sampled_from(sorted(ENCODINGS)),
    shape=st.sampled_from(sorted(SHAPES)),
    form=FORMS,
)
def test_a_known_secret_is_in_no_line_in_none_of_its_forms(
    secret: str, encoding: str, shape: str, form: Form
) -> None:
    text = ENCODINGS[encoding](secret)
    redaction = Redaction()
    redaction.learn(secret)
    line = _line(redaction, form, shape, text)
    assert line.count("\n") == 1
    assert not any(_holds(line, encode(secret)) for encode in ENCODINGS.values())


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(secret=SECRETS, before=AROUND, after=AROUND, url_safe=st.booleans(), form=FORMS)
def test_a_known_secret_is_masked_wherever_it_stands_in_base64(
    secret: str, before: str, after: str, *, url_safe: bool, form: Form
) -> None:
    text, own = in_base64(secret, before, after, url_safe=url_safe)
    redaction = Redaction()
    redaction.learn(secret)
    assert own in text
    assert own not in _line(redaction, form, "field", text)


@pytest.mark.parametrize("shape", ["event", "argument", "field", "deep", "key", "library"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_without_redaction_each_form_would_be_found(shape: str, encoding: str) -> None:
    """So that the promise above is one that can be broken."""
    secret = "pa'ss/wörd+\"<4711>"
    text = ENCODINGS[encoding](secret)
    assert _holds(_line(Blind(), JSON, shape, text), text)


@given(secrets=st.lists(SECRETS, min_size=1, max_size=4), text=st.text(max_size=80))
def test_the_quick_look_passes_nothing_over(secrets: list[str], text: str) -> None:
    redaction = Redaction()
    for secret in secrets:
        redaction.learn(secret)
    for secret in secrets:
        assume(secret not in "[redacted]")
        assert secret not in redaction.text(text + secret + text)
