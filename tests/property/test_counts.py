"""Names of what is counted: whatever a document calls its steps is read as it was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.state import Result
from orchestrator.journal import counts
from orchestrator.journal.counts import Attempt

#: Half of a pair that is none is what a document's escapes can make.
LABELS = st.text(max_size=200)
NAMED = st.sampled_from(sorted(counts.KINDS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(LABELS, min_size=counts.KINDS[kind], max_size=counts.KINDS[kind]),
    )
)


def whole(label: str) -> str:
    return counts.bounded(label).encode(errors="replace").decode()


@given(named=NAMED)
def test_labels_are_read_as_they_were_written(named: tuple[str, list[str]]) -> None:
    kind, labels = named
    text = counts.field(kind, *labels)
    assert counts.parse(text) == (kind, tuple(map(whole, labels)))
    assert text.isascii()
    assert len(text) <= 20 + len(labels) * (counts.LONGEST * 12 + 1)


@given(first=LABELS, second=LABELS)
def test_labels_that_differ_are_told_apart(first: str, second: str) -> None:
    same = counts.field(counts.ACCEPTED, first) == counts.field(counts.ACCEPTED, second)
    assert same == (first.encode(errors="replace") == second.encode(errors="replace"))


@given(ms=st.integers(0, 10**12))
def test_a_time_is_counted_under_the_first_bound_that_is_not_below(ms: int) -> None:
    name = counts.bucket(ms, counts.RUN_BOUNDS)
    over = [bound for bound in counts.RUN_BOUNDS if ms <= bound]
    assert name == (str(over[0]) if over else counts.ENDLESS)


@given(
    status=st.integers(0, 999),
    result=st.sampled_from(Result),
    labels=st.tuples(LABELS, LABELS, LABELS),
)
def test_an_attempt_counts_under_a_few_classes(
    status: int, result: Result, labels: tuple[str, str, str]
) -> None:
    workflow, step, provider = labels
    attempt = Attempt(
        workflow=workflow, step=step, provider=provider, result=result, status=status, ms=70
    )
    parsed = counts.parse(attempt.fields()[0])
    assert parsed is not None
    *_, outcome, kind, took = parsed[1]
    classes = {"429", "no-answer", "not-sent", *(f"{n}xx" for n in range(10))}
    assert (outcome, took) == (result.value, "100")
    assert kind in classes


def test_what_a_later_release_counts_is_left_alone() -> None:
    assert counts.parse("refund|a|b") is None
