"""Words that a shell may complete: ids of workflows and of runs, names of providers.

A person waits for them at every TAB: nothing is started for them, and whatever goes wrong
gives no words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from ops.cli.reach import Place, place_of, refusal
from ops.embedded import Embedded
from orchestrator.errors import DurazzoError
from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.tree import Mapping, Scalar, Sequence, Tree
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import NoSeal
from orchestrator.journal.trouble import answering
from orchestrator.service.validate import read
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import connect, load_profiles

#: Of the latest runs.
RUNS: Final = 100
#: A server that does not answer at once is not waited for. s.
_PATIENCE: Final = 0.3
#: A shell takes other words apart, or expands them.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def workflows(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the workflows of the document that stands before."""
    # An option that still wants its value stops click before it comes to the argument.
    written = ctx.params.get("file") or next(iter(ctx.args), None)
    if not written:
        return []
    file = Path(written)
    try:
        text = read(file)
    except DurazzoError:
        return []
    tree = source.parse(text, Report(file=str(file), text=text))
    return _beginning(_ids(tree), incomplete)


def runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of the latest runs, if a server answers at once."""
    try:
        url = _running(from_environ())
        if not url:
            return []
        with answering():
            # Ids are not sealed.
            return _beginning(RedisJournal(connect(url), NoSeal()).recent(RUNS), incomplete)
    except DurazzoError:
        return []


def batches(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Ids of batches, newest first, if a server answers at once."""
    try:
        url = _running(from_environ())
        if not url:
            return []
        with answering():
            found = RedisBatches(connect(url), NoSeal(), key_life_ms=1).all()
            return _beginning(found[:RUNS], incomplete)
    except DurazzoError:
        return []


def providers(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of those that have a profile."""
    return _beginning(load_profiles(), incomplete)


def _running(settings: Settings) -> str:
    """The URL of a server that is there; "" for none."""
    if settings.redis_url:
        place = place_of(settings.redis_url)
        return settings.redis_url if not refusal(place, _PATIENCE) else ""
    embedded = Embedded(settings.home)
    return "" if refusal(Place(str(embedded.socket), 0), _PATIENCE) else embedded.url


def _ids(tree: Tree | None) -> Iterable[str]:
    if not isinstance(tree, Mapping):
        return
    written = tree.get("workflows")
    if isinstance(written, Sequence):
        for item in written.items:
            yield from _text(item, "workflowId")
    elif "nodes" in tree:
        yield from _text(tree, "id")


def _text(tree: Tree, name: str) -> Iterable[str]:
    found = tree.get(name) if isinstance(tree, Mapping) else None
    if isinstance(found, Scalar):
        yield found.text


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete) and _PLAIN.fullmatch(word)]
