"""What the benchmark of pools says of its figures."""

from __future__ import annotations

from ops.bench import pools
from ops.bench.speed import Shape
from ops.bench.stage import Pool
from tests.unit.test_bench_speed import cells, drained

ONE = Shape(workers=1, pool=Pool(concurrency=2))
TWO = Shape(workers=2, pool=Pool(kind="threads", concurrency=16))


def test_a_shapes_rate_stands_beside_the_first_ones_of_the_same_round() -> None:
    """So what slows a whole round down changes no ratio."""
    usual, busy = (drained(runs=100, seconds=s, cpu=1.0) for s in (1.0, 10.0))
    ours, busily = (drained(runs=100, seconds=s, cpu=2.0) for s in (0.5, 5.0))
    text = pools.instant({ONE: [usual, busy, busy], TWO: [ours, busily, busily]})
    assert cells(text, str(ONE)) == ["10.00", "1.00", "10.00"]
    assert cells(text, str(TWO)) == ["20.00", "2.00", "20.00"]


def test_a_slow_providers_calls_are_a_part_of_what_the_slots_could_make() -> None:
    text = pools.slow({TWO: [drained(runs=64, seconds=1.6, cpu=0.64)]})
    assert cells(text, str(TWO)) == ["80.00", "160.0", "0.50", "5.00"]


def test_memory_is_told_by_slot() -> None:
    assert cells(pools.memory({TWO: 160.0}), str(TWO)) == ["160.0", "5.00"]
