"""What ``spine`` found, as text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from statistics import median
from typing import Any, Final, TypeAlias

from ops.bench.anatomy import PARTS, Anatomy
from ops.bench.drain import Drained, Idle
from ops.bench.meters import Seen
from ops.bench.tables import Cell, table
from ops.bench.weight import Weight

#: Rounds: durazzo's and the hand-written chain's.
Played: TypeAlias = Sequence[tuple[Drained, Drained]]
_STEPS: Final = 2
_HEAD: Final = ("durazzo", "hand-written")


def round_trips(ours: Seen, theirs: Seen, runs: int) -> None:
    _title(f"1. Round trips to Redis a run, submitting included ({runs} runs, MONITOR)")
    rows = [
        *_trips("journal", ours.journal, theirs.journal, runs),
        *_trips("Celery", ours.celery, theirs.celery, runs),
    ]
    print(table(["", *_HEAD], rows))
    steps = sum(ours.journal[name] for name in ("claim", "begin", "commit"))
    print(f"\nThe journal: {steps / runs / _STEPS:.2f} round trips a step (claim, begin, commit).")
    print(f"Commands that its scripts run inside the server: {ours.inside / runs:.0f} a run.")
    for team, seen in zip(_HEAD, (ours, theirs), strict=True):
        sizes = sorted(size for size, _ in Counter(seen.published).most_common(2))
        print(f"Step messages, {team}: {', '.join(f'{size:,}' for size in sizes)} bytes.")


def _trips(owner: str, ours: Counter[str], theirs: Counter[str], runs: int) -> list[list[Cell]]:
    """What comes once in a while only is in the sum, and not shown."""
    names = [n for n in ours | theirs if max(ours[n], theirs[n]) > runs / 5]
    names.sort(key=lambda name: (-ours[name], name))
    rows: list[list[Cell]] = [[owner, ours.total() / runs, theirs.total() / runs]]
    return rows + [[f"  {name}", ours[name] / runs, theirs[name] / runs] for name in names]


def weights(played: Played, weight: Weight, idle: Idle) -> None:
    _title(
        "2. Bytes a run (medians of all rounds; heartbeats, ticks and the bench's looks taken off)"
    )
    pairs = [[_bytes(one, idle) for one in pair] for pair in played]
    what = ("network into Redis", "network out of Redis", "memory while it waits", "memory after")
    rows: list[list[Cell]] = [
        [name, *map(round, _middle(pairs, itemgetter(index)))] for index, name in enumerate(what)
    ]
    rows.append([
        "first message in the lane",
        *map(round, _middle(played, lambda one: one.message)),
    ])
    print(table(["", *_HEAD], rows))
    print()
    kept(weight)


def kept(weight: Weight) -> None:
    """By form, what has none of something is left empty."""
    forms = (weight.under_way, weight.finished, weight.put_away)
    names = dict.fromkeys(name for form in forms for name in form)
    rows: list[list[Cell]] = [[name, *(form.get(name, "") for form in forms)] for name in names]
    rows.append(["together", *(sum(form.values()) for form in forms)])
    print(table(["A run in Redis (bytes, MEMORY USAGE)", "charged", "ended", "put away"], rows))
    print()
    waiting: list[list[Cell]] = [[name, size] for name, size in weight.row.items()]
    waiting.append(["together", sum(weight.row.values())])
    print(table(["A row of a batch that waits (its share)", "bytes"], waiting))


def _bytes(one: Drained, idle: Idle) -> tuple[float, ...]:
    """Into and out of Redis, memory held by a waiting run and by a finished one."""
    spent = one.whole
    return tuple(
        round(value / one.runs)
        for value in (
            one.after.bytes_in - one.before.bytes_in - idle.bytes_in * spent,
            one.after.bytes_out - one.before.bytes_out - idle.bytes_out * spent,
            one.waiting.memory - one.before.memory,
            one.after.memory - one.before.memory,
        )
    )


def rates(played: Played) -> None:
    _title(
        f"3. Runs a second ({played[0][0].runs} runs wait in a lane, then a worker is let at them)"
    )
    rows: list[list[Cell]] = [
        [f"round {number}", a.rate, b.rate, a.rate / b.rate]
        for number, (a, b) in enumerate(played, 1)
    ]
    ours, theirs = _middle(played, lambda one: one.rate)
    rows.append(["median", ours, theirs, median(a.rate / b.rate for a, b in played)])
    a, b = _middle(played, lambda one: one.runs / one.submitting)
    rows.append(["submitted a second, one process", a, b, a / b])
    print(table(["", *_HEAD, "ratio"], rows))


def cpu(played: Played) -> None:
    _title("4. CPU time a run by process, while the lane is drained. Milliseconds, median")
    names = {"main": "worker, main process (Celery)", "pool": "worker, pool processes"}
    rows: list[list[Cell]] = []
    for name in played[0][0].cpu:
        a, b = _middle(played, partial(_cpu_ms, name=name))
        rows.append([names.get(name, name), a, b, a - b, a / b])
    a, b = _middle(played, lambda one: 1000 * sum(one.cpu.values()) / one.runs)
    rows.append(["together", a, b, a - b, a / b])
    a, b = _middle(played, lambda one: sum(one.cpu.values()) / one.seconds)
    rows.append(["cores busy", a, b, a - b, a / b])
    print(table(["", *_HEAD, "more", "ratio"], rows))


def _cpu_ms(one: Drained, name: str) -> float:
    return 1000 * one.cpu[name] / one.runs


def parts(found: Anatomy, played: Played) -> None:
    _title(
        f"5. One step of durazzo in one process, without Celery ({found.steps} steps). Microseconds"
    )
    whole, busy = sum(found.durazzo.wall.values()), sum(found.durazzo.cpu.values())
    rows: list[list[Cell]] = [
        [part, _micro(found, wall := found.durazzo.wall[part]), f"{wall / whole:.0%}",
         _micro(found, used := found.durazzo.cpu[part]), f"{used / busy:.0%}"]
        for part in PARTS
    ]  # fmt: skip
    rows.append(["together", _micro(found, whole), "", _micro(found, busy), ""])
    print(table(["", "elapsed", "share", "own CPU", "share"], rows))
    print(f"\nRedis' own time in scripts: {_micro(found, found.in_redis):,} a step.\n")
    ours, theirs = _middle(played, lambda one: 1e6 * one.cpu["pool"] / one.runs / _STEPS)
    own, bare = 1e6 * found.durazzo_cpu, 1e6 * found.by_hand_cpu
    shares: list[list[Cell]] = [
        ["pool process, CPU a step", round(ours), round(theirs)],
        ["  of it the step itself (above, without the stopwatch)", round(own), round(bare)],
        [
            "  of it Celery (take, trace, publish, log, ack)",
            round(ours - own),
            round(theirs - bare),
        ],
    ]
    print(table(["", *_HEAD], shares))


def _micro(found: Anatomy, seconds: float) -> int:
    return round(1e6 * seconds / found.steps)


def verdict(ledger: dict[str, Any], sent_again: int, seconds: float) -> None:
    doubles = ledger["duplicates"]
    print(
        f"\nThe sandbox's ledger: every run was charged once and texted once"
        f" ({ledger['charges']:,} charges, {ledger['messages']:,} texts,"
        f" {doubles['charges']} and {doubles['messages']} duplicates).\n"
        f"Segments that the timekeeper sent again: {sent_again}. The bench took {seconds:.0f} s;"
        f" load {os.getloadavg()[0]:.1f} after."
    )


def _middle(pairs: Sequence[Sequence[Any]], what: Callable[[Any], float]) -> tuple[float, float]:
    """The medians over all rounds: durazzo's, and the hand-written chain's."""
    ours, theirs = (median(what(pair[team]) for pair in pairs) for team in (0, 1))
    return ours, theirs


def _title(text: str) -> None:
    print(f"\n{text}\n")
