"""What a storm did and what came of it: as text, and as evidence in files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ops.bench.tables import Cell, table
from ops.chaos.findings import Finding
from ops.chaos.journals import Story
from ops.chaos.recovery import Recovery, Standstill, by_kind, percentiles
from ops.chaos.storm import Aftermath
from ops.chaos.tally import Tally
from ops.chaos.verdict import Unknown, Verdict

#: Findings of one kind that are told on the screen; the evidence has all.
_TOLD: Final = 5
#: Runs that stood still for longest, whose journals are kept as well.
_SLOWEST: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    aftermath: Aftermath
    stories: Sequence[Story]
    recoveries: Sequence[Recovery]
    #: The longest first.
    standstills: Sequence[Standstill]
    verdict: Verdict
    #: Where the runs are the rows of a batch.
    tally: Tally | None = None

    def as_json(self) -> dict[str, object]:
        verdict, after = self.verdict, self.aftermath
        return {
            "seed": after.schedule.options.seed,
            "ok": verdict.ok,
            "states": dict(verdict.states),
            "charged": verdict.charged,
            "texted": verdict.texted,
            "findings": [finding.as_json() for finding in verdict.findings],
            "excused": [finding.as_json() for finding in verdict.excused],
            "unknown": [unknown.as_json() for unknown in verdict.unknowns],
            "struck": dict(_blows(after)),
            "faults": dict(_faults(after)),
            "recoveries_ms": {str(k): list(v) for k, v in by_kind(self.recoveries).items()},
            "standstills": [asdict(still) for still in self.standstills[:_SLOWEST]],
            "stormed_s": round(after.stormed, 1),
            "calmed_s": round(after.calmed, 1),
            "restarts": after.restarts,
            "submitter_unavailable": after.unavailable,
            "kills_of_redis_with_unwritten_data": len(after.unwritten),
            **({"batch": self.tally.as_json()} if self.tally else {}),
        }


def lines(outcome: Outcome) -> Iterator[str]:
    after, verdict = outcome.aftermath, outcome.verdict
    options = after.schedule.options
    yield (
        f"seed {options.seed}: {len(after.runs)} of {options.runs} runs of {options.workflow},"
        f" {options.workers} workers of {options.children}; a storm of {after.stormed:.0f} s,"
        f" still after another {after.calmed:.0f} s"
    )
    rows: list[Sequence[Cell]] = [*_blows(after), *_faults(after)]
    yield "\n" + table(["trouble", "struck"], rows)
    yield (
        f"\nworkers restarted {after.restarts} times; Redis was away for the submitter"
        f" {after.unavailable} times"
    )
    if after.unwritten:
        yield (
            f"killed {len(after.unwritten)} times with data that it had acknowledged and, as the"
            " disk was busy, not written"
        )
    yield "\n" + table(["runs", ""], sorted(verdict.states.items()))
    yield f"\nthe books: {verdict.charged} charges, {verdict.texted} texts"
    if outcome.tally is not None:
        yield _batch(outcome.tally)
    yield from _unknowns(verdict.unknowns)
    yield from _recoveries(outcome.recoveries)
    yield from _standstills(outcome.standstills)
    yield ""
    yield from _findings(verdict.findings)
    yield from _excused(verdict.excused)
    yield f"seed {options.seed}: " + (
        "every run is accounted for" if verdict.ok else f"{len(verdict.findings)} findings"
    )


def keep(outcome: Outcome, folder: Path, logs: Path) -> None:
    """The plan, the verdict, and the journals of runs that are to blame, or were slowest.

    They hold ids and codes only, and so do the logs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "plan.json", outcome.aftermath.schedule.as_json())
    _write(folder / "verdict.json", outcome.as_json())
    blamed = {finding.run for finding in outcome.verdict.findings}
    blamed |= {still.run for still in outcome.standstills[:_SLOWEST]}
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    for story in outcome.stories:
        if story.run in blamed:
            text = "".join(f"{event.encode()}\n" for event in story.events)
            (runs / f"{story.run}.jsonl").write_text(text)
    for log in logs.glob("*.log"):
        shutil.copy(log, folder)


def _write(file: Path, document: object) -> None:
    file.write_text(json.dumps(document, indent=1) + "\n")


def _blows(after: Aftermath) -> list[tuple[str, int]]:
    return sorted(Counter(str(b.strike.what) for b in after.struck if b.hit).items())


def _faults(after: Aftermath) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for row in after.faults:
        if row["do"] != "latency":
            status = f" {row['status']}" if row["status"] else ""
            counts[f"call: {row['do']}{status}"] += row["struck"]
    return sorted(counts.items())


def _batch(tally: Tally) -> str:
    def counted(found: Mapping[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in sorted(found.items()))

    batch = tally.batch
    return (
        f"the batch: {batch.state}, {counted(batch.ends)}, {batch.parked} in doubt;"
        f" {counted(batch.sums)}; at most {tally.fullest} of {batch.window} at one time"
    )


def _unknowns(unknowns: Sequence[Unknown]) -> Iterator[str]:
    if unknowns:
        rows = Counter(
            f"{u.step} ({u.code}), {u.books}: {u.excuse or 'UNEXPLAINED'}" for u in unknowns
        )
        yield "\n" + table(["unknown, and what the books say", "runs"], sorted(rows.items()))


def _recoveries(found: Sequence[Recovery]) -> Iterator[str]:
    rows: list[Sequence[Cell]] = [
        (str(kind), len(times), *(ms / 1000 for ms in percentiles(times)))
        for kind, times in by_kind(found).items()
        if times
    ]
    if rows:
        yield "\n" + table(["from trouble to next event", "runs", "p50 s", "p95 s", "max s"], rows)
    if stuck := sum(recovery.ms is None for recovery in found):
        yield f"{stuck} runs never moved again"


def _standstills(found: Sequence[Standstill]) -> Iterator[str]:
    rows = [(f"{gap.run} after {gap.after}", gap.ms / 1000) for gap in found[:_SLOWEST]]
    if rows:
        yield "\n" + table(["longest standstills, whatever the trouble", "s"], rows)


def _excused(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        rows = sorted(Counter(finding.code for finding in findings).items())
        yield table(["of runs whose acceptance Redis lost", "findings"], rows) + "\n"


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    for code, found in by_code.items():
        yield f"{code}: {len(found)}"
        yield from (f"  {f.customer or '-'} {f.run}  {f.says}" for f in found[:_TOLD])
