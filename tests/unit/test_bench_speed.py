"""What the speed benchmark says of its figures."""

from __future__ import annotations

from ops.bench import speed
from ops.bench.drain import Drained
from ops.bench.meters import Traffic
from ops.bench.stage import Pool

QUIET = Traffic(bytes_in=0, bytes_out=0, scripts=0, memory=0)


def drained(*, runs: int, seconds: float, cpu: float) -> Drained:
    return Drained(
        runs=runs,
        submitting=1.0,
        seconds=seconds,
        whole=seconds,
        cpu={"workers": cpu / 2, "Valkey": cpu / 2},
        message=1,
        before=QUIET,
        waiting=QUIET,
        after=QUIET,
    )


def cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return line.removeprefix(start).split()


def test_fifty_calls_of_a_fifth_of_a_second_are_250_a_second() -> None:
    assert speed.ideal(50, 200) == 250


def test_the_ratio_is_of_rates_and_of_what_is_spent_the_other_way_round() -> None:
    ours = drained(runs=100, seconds=2.0, cpu=1.0)
    theirs = drained(runs=100, seconds=1.0, cpu=0.8)
    text = speed.instant([(ours, theirs)] * 3)
    assert cells(text, "median") == ["50.00", "100.0", "0.50"]
    assert cells(text, "CPU, ms a run, all processes") == ["10.00", "8.00", "0.80"]


def test_the_median_is_of_the_rounds_ratios() -> None:
    slow, usual = (drained(runs=100, seconds=s, cpu=1.0) for s in (10.0, 1.0))
    text = speed.instant([(usual, usual), (slow, slow), (usual, slow)])
    assert cells(text, "median")[2] == "1.00"


def test_a_slow_providers_best_round_is_told_as_part_of_the_ideal() -> None:
    ours = [drained(runs=100, seconds=s, cpu=1.0) for s in (2.0, 1.0)]
    theirs = drained(runs=100, seconds=0.8, cpu=0.5)
    text = speed.slow({"2 x threads -c 25": [(one, theirs) for one in ours]})
    first, second = (line.split()[5:] for line in text.splitlines()[2:])
    assert first == ["durazzo", "200.0", "0.80", "5.00", "1.00"]
    assert second == ["hand-written", "250.0", "1.00", "2.50", "0.62"]


def test_all_shapes_of_the_slow_part_have_as_many_calls_under_way() -> None:
    assert {s.workers * s.pool.concurrency for s in speed.SLOW} == {50}
    shape = speed.Shape(workers=2, pool=Pool(kind="threads", concurrency=25))
    assert str(shape) == "2 x threads -c 25"
