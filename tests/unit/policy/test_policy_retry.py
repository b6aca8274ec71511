from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.policy.idempotency import key, may_resend
from orchestrator.policy.outcomes import Kind, Verdict
from orchestrator.policy.profiles import RetryPolicy
from orchestrator.policy.retry import delay_ms
from tests.unit.policy.shipped import profile

POLICY = RetryPolicy(
    max_attempts=5, base_ms=500, factor=2, cap_ms=3000, max_retry_after_ms=60_000, window_ms=600_000
)
TRANSIENT = Verdict(kind=Kind.TRANSIENT, code="http-503")
HOUR_MS = 3_600_000


def test_the_ceiling_doubles_until_its_cap() -> None:
    top = [delay_ms(POLICY, attempt=n, verdict=TRANSIENT, jitter=0.999) for n in (1, 2, 3, 4)]
    assert top == [499, 999, 1998, 2997]


def test_attempts_end() -> None:
    assert delay_ms(POLICY, attempt=4, verdict=TRANSIENT, jitter=0) == 0
    assert delay_ms(POLICY, attempt=5, verdict=TRANSIENT, jitter=0) is None


def test_the_window_ends_before_the_attempts_do() -> None:
    asked = replace(TRANSIENT, retry_after_ms=10_000)
    assert delay_ms(POLICY, attempt=1, verdict=asked, jitter=0, elapsed_ms=590_000) == 10_000
    assert delay_ms(POLICY, attempt=1, verdict=asked, jitter=0, elapsed_ms=590_001) is None


def test_a_provider_that_says_stop_is_not_asked_again() -> None:
    assert delay_ms(POLICY, attempt=1, verdict=replace(TRANSIENT, stop=True), jitter=0) is None


def test_retry_after_is_a_lower_bound_and_those_who_wait_do_not_return_together() -> None:
    asked = replace(TRANSIENT, retry_after_ms=2000)
    assert delay_ms(POLICY, attempt=1, verdict=asked, jitter=0) == 2000
    assert delay_ms(POLICY, attempt=1, verdict=asked, jitter=0.5) == 2250
    short = replace(TRANSIENT, retry_after_ms=1)
    assert delay_ms(POLICY, attempt=4, verdict=short, jitter=0.5) == 1500


def test_no_provider_holds_a_run_for_days() -> None:
    asked = replace(TRANSIENT, retry_after_ms=86_400_000)
    assert delay_ms(POLICY, attempt=1, verdict=asked, jitter=0) == 60_000


@given(attempt=st.integers(1, 10_000), jitter=st.floats(0, 1, exclude_max=True))
def test_no_attempt_number_overflows_or_waits_past_the_cap(attempt: int, jitter: float) -> None:
    policy = replace(POLICY, max_attempts=10_001)
    delay = delay_ms(policy, attempt=attempt, verdict=TRANSIENT, jitter=jitter)
    assert delay is not None
    assert 0 <= delay <= policy.cap_ms


def test_a_key_is_a_pure_function_of_the_intent() -> None:
    assert key("r1", "charge", 1) == key("r1", "charge", 1)
    # Written down: a release that changed it would charge the runs in flight twice.
    assert key("r1", "charge", 1) == "dz_a844a03435dd47014def034a3a9bde8c97908d8a"
    assert len(key("r" * 500, "s" * 500, 10**9)) <= 64


@given(
    one=st.tuples(st.text(), st.text(), st.integers(1, 99)),
    other=st.tuples(st.text(), st.text(), st.integers(1, 99)),
)
def test_two_intents_never_share_a_key(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (key(*one) == key(*other)) == (one == other)


def resend(name: str, method: str, keyed: bool, age_ms: int) -> bool:
    return may_resend(
        profile(name), method=method, keyed=keyed, first_sent_ms=10**12, now_ms=10**12 + age_ms
    )


def test_the_same_key_may_go_out_again_inside_its_window_only() -> None:
    assert resend("stripe", "POST", True, 0)
    assert resend("stripe", "post", True, 23 * HOUR_MS - 1)
    assert not resend("stripe", "POST", True, 23 * HOUR_MS)


def test_a_clock_that_went_back_by_days_makes_no_key_young_again() -> None:
    assert resend("stripe", "POST", True, -1000)
    assert not resend("stripe", "POST", True, -48 * HOUR_MS)


def test_without_a_key_only_a_safe_method_is_sent_again() -> None:
    assert not resend("stripe", "POST", False, 0)
    assert not resend("stripe", "DELETE", True, 0)
    assert not resend("twilio", "POST", True, 0)
    assert not resend("generic", "PUT", False, 0)
    assert resend("twilio", "GET", False, 48 * HOUR_MS)
    assert resend("anthropic", "POST", False, 0)
