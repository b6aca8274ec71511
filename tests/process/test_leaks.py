"""Nothing of a customer, and no secret, leaves in clear: a scan of everything that leaves.

The same history is lived twice: as it should be, when nothing is found anywhere; and with nothing
sealed and nothing masked, when everything is found everywhere.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from ops import lab
from orchestrator.journal.seal import new_key
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, wire
from tests.process import history, leaving
from tests.process.history import QUIET, REASON, History
from tests.process.house import CHARGE_AND_TEXT, FROM, House, house, plan_of, wait_for
from tests.process.leaving import Tap
from tests.process.scan import bare, but_effects, leaks, unpacked
from tests.process.serving import Served, serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

REDIS_PASSWORD = "open-sesame-of-redis"
LOGIN = "open-sesame-of-flower"
TOKEN = "open-sesame-of-the-scraper"
#: Of tests/process/telltale.py.
TELL = "telltale.tell"
#: Of somebody in the history.
PHONE = bare(FROM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    #: Where it was looked → what was there.
    left: Mapping[str, bytes]
    words: Mapping[str, str]

    def found(self) -> dict[str, list[str]]:
        return {place: leaks(but_effects(text), self.words) for place, text in self.left.items()}


@contextmanager
def locked(folder: Path, *, seal: str = "on") -> Iterator[House]:
    """A house with a secret for everything that takes one."""
    with house(folder, DURAZZO_SEAL=seal) as home:
        url = home.environ["DURAZZO_REDIS_URL"]
        with connect(url) as client:
            client.config_set("requirepass", REDIS_PASSWORD)
        home.environ |= {
            "DURAZZO_REDIS_URL": url.replace("unix://", f"unix://:{REDIS_PASSWORD}@"),
            "DURAZZO_HOME": str(folder / "home"),
            "DURAZZO_HEALTH_DIR": str(folder / "health"),
            # A machine that is slow for a moment is no worker that has died.
            "DURAZZO_HEARTBEAT": "6",
            "DURAZZO_METRICS_TOKEN": TOKEN,
            "FLOWER_BASIC_AUTH": f"ops:{LOGIN}",
        }
        rewired(home)
        yield home


def rewired(home: House) -> None:
    home.wiring.app.close()
    home.wiring = wire(from_environ(home.environ))


def lived(home: House, worker: str, then: Callable[[History], None] = lambda _: None) -> Lived:
    """``worker``: the Celery app that executes. ``then``: what is done before it is looked."""
    told = History(home)
    tap = Tap(home.environ["DURAZZO_REDIS_URL"])
    history.before(told)
    # What was accepted until now is under the older key.
    home.environ["DURAZZO_KEYS"] = f"{new_key()},{home.environ['DURAZZO_KEYS']}"
    rewired(home)
    with ExitStack() as beside:
        serve = partial(serving, home.folder)
        beside.enter_context(serve(home.environ, "timekeeper"))
        flower = beside.enter_context(serve(home.environ, "flower", "--port", "0"))
        metrics = beside.enter_context(serve(home.environ, "metrics", "--port", "0"))
        start(home, worker)
        known_to(flower)
        history.live(told)
        told.words |= {
            "Redis' password": REDIS_PASSWORD, "Flower's login": LOGIN, "metrics' token": TOKEN,
            **{f"key {n}": key for n, key in enumerate(home.environ["DURAZZO_KEYS"].split(","))},
        }  # fmt: skip
        then(told)
        left = {
            "command lines": leaving.command_lines(),
            "health files": leaving.files(home.folder, "health/*"),
            "metrics": scraped(metrics),
            "Flower": shown(flower, told),
        }
    left |= remains(home, tap) | {"errors": told.stderr.encode()}
    return Lived(left=left, words=told.words)


def start(home: House, app: str) -> None:
    log = home.folder / "worker-0.log"
    process = lab.worker(
        app, name="w0", environ=home.environ, log=log, pool="threads", concurrency=8
    )
    home.workers.append(process)
    wait_for(home.wiring.core.journal.alive, "a heartbeat", seconds=60)
    shows = partial(leaving.files, home.folder, "health/*")
    wait_for(lambda: b"timekeeper" in shows(), "the timekeeper", seconds=60)


def known_to(flower: Served) -> None:
    """From here on Flower hears of every task."""
    with flower.client() as client:
        client.auth = ("ops", LOGIN)
        listed = "/workers?json=1"
        wait_for(lambda: client.get(listed).json()["data"], "Flower to hear it", seconds=60)


def scraped(metrics: Served) -> bytes:
    with metrics.client(Authorization=f"Bearer {TOKEN}") as client:
        return client.get("/metrics").content


def shown(flower: Served, told: History) -> bytes:
    with flower.client() as client:
        client.auth = ("ops", LOGIN)
        listed = "/api/workers?refresh=1"
        wait_for(lambda: client.get(listed).json(), "the worker's answer", seconds=60)
        ends = partial(leaving.ended, client)
        wait_for(lambda: told.tasks <= ends(), "Flower to hear of all tasks", seconds=60)
        return leaving.pages(client, [run.id for run in told.runs])


def remains(home: House, tap: Tap) -> dict[str, bytes]:
    """What is left when the servers beside the worker have ended."""
    with connect(home.environ["DURAZZO_REDIS_URL"]) as client:
        return {
            "values": leaving.values(client),
            "journal": leaving.values(client, "{durazzo}:*"),
            "dumps": leaving.dumps(client),
            "messages": leaving.values(client, f"{QUIET}*"),
            "put away": leaving.values(client, "*:done:*"),
            "results": leaving.values(client, "celery-task-meta-*"),
            "Redis' own file": leaving.files(home.folder, "appendonlydir/*"),
            "commands": tap.text(),
            "events": tap.of("PUBLISH"),
            "logs": leaving.files(home.folder, "*.log"),
            "Flower's file": leaving.files(home.folder / "home", "flower/*"),
        }


#: Where it was looked, and what is there in any case: a place that is empty hides nothing.
SEEN: Mapping[str, bytes] = {
    "values": b"succeeded", "journal": b"succeeded", "dumps": b"succeeded",
    "messages": b"body", "results": b"succeeded",
    "Redis' own file": b"succeeded", "commands": b"durazzo.step", "events": b"celeryev",
    "logs": b"attempt.finished", "Flower's file": b"create-payment", "Flower": b"create-payment",
    "command lines": b"timekeeper", "health files": b"timekeeper", "metrics": b"create-payment",
    "errors": b"inputs-refused", "put away": b"attempt-payment",
}  # fmt: skip


def test_nothing_private_and_no_secret_is_found_in_anything_that_leaves(tmp_path: Path) -> None:
    with locked(tmp_path) as home:
        told = lived(home, "workers.app")
    assert {place: text in told.left[place] for place, text in SEEN.items()} == dict.fromkeys(
        told.left, True
    )
    assert told.found() == {place: [] for place in told.left}


#: Where whatever is said comes by; elsewhere the test puts one word or another.
EVERYWHERE = frozenset(SEEN) - {"command lines", "errors", "metrics", "journal", "put away"}

#: What the journal holds of the history, and what of it stands in plans and not in runs.
WRITTEN = frozenset({
    "any card", "text", "why", "run key", "a row's key", "amount", "client secret", "access token",
    "receipt", "name of the OSOP document",
})  # fmt: skip
OF_PLANS = frozenset({"text", "name of the OSOP document"})


def tell_all(told: History) -> None:
    """Every word goes wherever one can."""
    home, app = told.home, told.home.wiring.app
    told.submit(plan_of(CHARGE_AND_TEXT), home.charge_inputs(), lane=PHONE)
    results = [app.send_task(TELL, [word]) for word in told.words.values()]
    told.tasks |= {result.id for result in results}
    for word in told.words.values():
        app.send_task(TELL, [word], queue=QUIET)
    (home.folder / "health" / "told").write_text("\n".join(told.words.values()))
    told.command(REASON, code=2)
    idle = [sys.executable, "-c", "import signal; signal.pause()", PHONE]
    home.workers.append(subprocess.Popen(idle, start_new_session=True))
    for result in results:
        result.get(timeout=60)


def test_with_nothing_sealed_and_nothing_masked_all_of_it_is_found_everywhere(
    tmp_path: Path,
) -> None:
    with locked(tmp_path, seal="off") as home:
        told = lived(home, "tests.process.telltale", tell_all)
    found = {place: set(names) for place, names in told.found().items()}
    hidden = {place: set(told.words) - found[place] for place in EVERYWHERE}
    assert hidden == {place: set() for place in EVERYWHERE}
    assert all(found.values()), found
    # These got there by themselves.
    assert WRITTEN - found["journal"] == set()
    assert WRITTEN - OF_PLANS - found["put away"] == set()


ODD = "Zoë & Søn <z+1@shop.example>/7%"


@pytest.mark.parametrize("word", ["+15558675310", "pm_card_visa", "0ddba11feedc0de5", ODD])
def test_a_word_is_found_however_it_is_written(word: str) -> None:
    raw = word.encode()
    coded = [base64.b64encode(b"user:"[:n] + raw + b"!") for n in range(6)]
    ways = [
        raw, quote(word, safe="").encode(), quote_plus(word).encode(), html.escape(word).encode(),
        json.dumps({"a": [word]}).encode(), json.dumps(json.dumps(word)).encode(),
        "".join(f"%{byte:02x}" for byte in raw).encode(),
        "".join(f"\\u00{byte:02X}" for byte in raw).encode(),
        repr(raw).encode(), raw.hex().encode(), raw.hex().upper().encode(),
        *coded, *(text.replace(b"+", b"-").replace(b"/", b"_") for text in coded),
        base64.b64encode(json.dumps({"to": word}).encode()), quote(coded[1]).encode(),
    ]  # fmt: skip
    missed = [way for way in ways if not leaks(b"before " + way + b" after", {"it": word})]
    assert missed == []
    packed = [zlib.compress(raw), zlib.compress(raw, 9), gzip.compress(raw)]
    found = [b"".join(unpacked(b"\x00" + value + b"tail")) for value in packed]
    assert found == [raw] * len(packed)
    assert leaks(b"before " + raw[1:] + b" after", {"it": word}) == []
