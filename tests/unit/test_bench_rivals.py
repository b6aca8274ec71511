"""The contest with others: its medians and ratios, its chart, and what it reads of processes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ops.bench import handwritten
from ops.bench.handwritten import Order
from ops.bench.rivals import figures, shop
from ops.bench.rivals.chart import chart
from ops.bench.rivals.contest import INSTANT, SLOW
from ops.bench.rivals.figures import Standing, standings
from ops.bench.rivals.foreign import rows, shares
from ops.bench.rivals.installed import NotInstalled, python_with
from ops.bench.rivals.processes import Program, cpu_of, spent
from ops.bench.rivals.teams import Round, Shape, spread
from ops.bench.stage import BenchBroken
from orchestrator.settings import from_environ

SHAPE = Shape(processes=2, at_once=8)
TICK = 1 / os.sysconf("SC_CLK_TCK")
SVG = "{http://www.w3.org/2000/svg}"


ORDER = Order(
    number="order-1", amount=2000, currency="usd", card="pm_card_visa", account="AC1",
    to="+15550000001", sender="+15005550006",
)  # fmt: skip


@dataclass
class Listener:
    """Answers every call as both providers would, and keeps what came."""

    url: str = ""
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def taken(self) -> list[tuple[str, dict[str, str], bytes]]:
        heard, self.heard = self.heard, []
        return heard


@pytest.fixture
def listener() -> Iterator[Listener]:
    kept = Listener()
    answer = json.dumps({"id": "pi_1", "status": "succeeded", "sid": "SM1"}).encode()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.heard.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        yield kept
        server.shutdown()
        thread.join()


def played(rate: float, *, cpu: float = 1.0, submitting: float = 0.5) -> Round:
    return Round(runs=100, seconds=100 / rate, cpu=cpu, submitting=submitting)


def found() -> list[Standing]:
    rounds = [
        [played(100, cpu=1), played(50, cpu=3, submitting=0)],
        [played(10, cpu=1), played(20, cpu=1, submitting=0)],
        [played(200, cpu=2), played(150, cpu=3, submitting=0)],
    ]
    return standings(["durazzo", "other & co"], [SHAPE, SHAPE], rounds)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    own, other = found()
    assert (own.ratio, own.cpu_ratio) == (1, 1)
    # 0.5, 2 and 0.75: the ratio of the medians would be 0.5.
    assert other.ratio == pytest.approx(0.75)
    assert other.cpu_ratio == pytest.approx(1.5)


def test_a_rate_is_the_median_beside_the_worst_and_the_best_round() -> None:
    own, _ = found()
    assert (own.slowest, own.rate, own.fastest) == pytest.approx((10, 100, 200))
    assert own.cpu_ms == pytest.approx(10)


def test_who_submits_nothing_has_no_rate_of_submitting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, other = found()
    assert own.submitted == pytest.approx(200)
    assert other.submitted is None
    figures.show(INSTANT, [own, other])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split()[-4:] == ["none", "2", "x", "8"]


def test_the_chart_is_xml_with_a_bar_for_each_team_in_each_panel() -> None:
    drawn = ET.fromstring(chart({INSTANT: found(), SLOW: found()}))
    panels = drawn.findall(f"{SVG}g")
    assert len(panels) == 4
    for panel in panels:
        assert len(panel.findall(f"{SVG}rect")) == 2
        assert "other & co" in {text.text for text in panel.findall(f"{SVG}text")}


def test_the_longest_bar_of_a_panel_is_the_greatest_value_and_the_others_are_in_proportion() -> (
    None
):
    drawn = ET.fromstring(chart({INSTANT: found()}))
    rates, cpu = (
        [float(bar.attrib["width"]) for bar in panel.findall(f"{SVG}rect")]
        for panel in drawn.findall(f"{SVG}g")
    )
    # 100 and 50 runs a second; 10 and 30 ms.
    assert rates[1] == pytest.approx(rates[0] / 2)
    assert cpu[0] == pytest.approx(cpu[1] / 3)


def test_every_share_together_is_all_runs() -> None:
    assert shares(7, 2) == [4, 3]
    assert sum(shares(300, 7)) == 300


def test_one_process_has_as_many_calls_under_way_as_two_together() -> None:
    assert [shape.processes * shape.at_once for shape in spread(50)] == [50, 50]


def test_cpu_time_is_read_past_a_name_with_brackets() -> None:
    fields = " ".join(["S", *["0"] * 10, "7", "5", "3", "1", "99"])
    assert cpu_of(f"123 (a ) b (c) {fields}") == pytest.approx(16 * TICK)


def test_the_time_of_a_child_that_ended_counts() -> None:
    before = spent([os.getpid()])
    child = "import time\nwhile time.process_time() < 0.1: pass"
    os.waitpid(os.posix_spawn(sys.executable, [sys.executable, "-c", child], dict(os.environ)), 0)
    # Both were rounded down to a tick.
    assert spent([os.getpid()]) - before > 0.1 - 2 * TICK


def test_who_has_ended_has_spent_nothing_more() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))
    os.waitpid(pid, 0)
    assert spent([pid]) == 0


def test_a_program_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = Program(
        Path(sys.executable), "no_such_module", environ={}, folder=tmp_path, name="rival"
    )
    try:
        with pytest.raises(BenchBroken, match="no_such_module"):
            program.hear()
    finally:
        program.kill()


@pytest.mark.slow
def test_a_rival_that_cannot_be_installed_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NotInstalled, match="nowhere==1"):
        python_with(("nowhere==1",))
    assert list((tmp_path / "durazzo-rivals").iterdir()) == []


def test_the_calls_of_a_rival_are_those_of_the_hand_written_chain(listener: Listener) -> None:
    environ = {
        "DURAZZO_SERVERS": json.dumps({
            "https://api.stripe.com": f"{listener.url}/stripe",
            "https://api.twilio.com": f"{listener.url}/twilio",
        }),
        "STRIPE_SECRET_KEY": "sk_test_1",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "t",
    }
    (order,) = rows([ORDER])
    by_hand = handwritten.Shop(from_environ(environ))
    by_hand.charge(order)
    by_hand.text(order)
    by_hand.close()
    expected = listener.taken()
    theirs = shop.Shop(environ, connections=4)
    assert (theirs.charge(order), theirs.text(order)) == ("pi_1", "SM1")
    theirs.close()
    assert len(expected) == 2
    assert listener.taken() == expected
