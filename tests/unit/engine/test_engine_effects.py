"""What stands at the providers: the text it is kept as, and what it adds up to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.effects import Effect, Totals, joined, money, read, read_all
from orchestrator.engine.state import Phase, State, Visit


def charged(name: str, amount: int | None = None, currency: str = "", step: str = "a") -> Effect:
    return Effect(step=step, what="charged", id=name, amount=amount, currency=currency)


TEXTED = Effect(step="b", what="texted", id="SM1")


def test_an_effect_is_read_with_its_amount() -> None:
    assert read("a", "charged pi_1 1999 usd") == charged("pi_1", 1999, "usd")
    assert read("b", "texted SM1") == TEXTED


@pytest.mark.parametrize(
    "more", ["", " 1999", " usd 1999", " 19.99 usd", " -5 usd", " 1999 USD", " 1999 usd x", " 1 us"]
)
def test_what_is_no_amount_is_none_and_the_effect_stands(more: str) -> None:
    assert read("a", f"charged pi_1{more}") == charged("pi_1")


@given(st.text())
def test_whatever_another_release_wrote_is_read(text: str) -> None:
    for effect in read_all("a", text):
        assert effect.told.startswith(effect.what)
        assert effect.as_json()["step"] == "a"


@given(st.text(), st.text())
def test_joining_what_was_joined_changes_nothing(known: str, new: str) -> None:
    once = joined(known, new)
    assert joined(once) == once


def test_an_answer_that_is_replayed_did_nothing_more() -> None:
    assert joined("", "charged pi_1 5 usd") == "charged pi_1 5 usd"
    assert joined("charged pi_1 5 usd", "charged pi_1 5 usd") == "charged pi_1 5 usd"
    assert joined("charged pi_1 5 usd", "") == "charged pi_1 5 usd"
    assert joined("charged pi_1 5 usd", "charged pi_2 5 usd").count(";") == 1


@pytest.mark.parametrize(
    ("first", "then"),
    [("charged pi_1", "charged pi_1 5 usd"), ("charged pi_1 5 usd", "charged pi_1")],
)
def test_of_two_releases_that_told_the_same_charge_the_one_with_the_amount_is_heard(
    first: str, then: str
) -> None:
    assert joined(first, then) == "charged pi_1 5 usd"
    assert read_all("a", f"{first};{then}") == (charged("pi_1", 5, "usd"),)


def test_a_run_lists_what_its_steps_did() -> None:
    visits = {
        "a": Visit(number=2, phase=Phase.FAILED, effects="charged pi_1;charged pi_2 1999 usd"),
        "b": Visit(number=1, phase=Phase.SUCCEEDED, effects="texted SM1"),
        "c": Visit(number=1, phase=Phase.READY),
    }
    state = State(plan="p", name="n", lane="default", accepted=1, visits=visits)
    assert state.effects == (charged("pi_1"), charged("pi_2", 1999, "usd"), TEXTED)


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (1999, "usd", "19.99 USD"),
        (5, "eur", "0.05 EUR"),
        (0, "usd", "0.00 USD"),
        (500, "jpy", "500 JPY"),
        (1, "kwd", "0.001 KWD"),
        (12345, "clf", "1.2345 CLF"),
        (999_999_999_999_999, "usd", "9999999999999.99 USD"),
        (1500, "isk", "15.00 ISK"),
        (1500, "mga", "1500 MGA"),
        (1, "zzz", "0.01 ZZZ"),
    ],
)
def test_money_is_told_in_units_of_its_currency(amount: int, currency: str, told: str) -> None:
    assert money(amount, currency) == told


def test_an_effect_is_told_in_words_and_as_json() -> None:
    effect = charged("pi_1", 1999, "usd")
    assert (effect.told, charged("pi_1").told) == ("charged 19.99 USD pi_1", "charged pi_1")
    assert effect.as_json() == {
        "step": "a", "what": "charged", "id": "pi_1", "amount": 1999, "currency": "usd",
    }  # fmt: skip
    assert TEXTED.as_json() == {
        "step": "b", "what": "texted", "id": "SM1", "amount": None, "currency": None,
    }  # fmt: skip


# Totals.


def test_totals_are_by_what_and_currency() -> None:
    found = Totals.of([
        charged("pi_1", 1999, "usd"), charged("pi_2", 1, "usd"), charged("pi_3", 500, "jpy"),
        Effect(step="r", what="refunded", id="re_1", amount=1999, currency="usd"), TEXTED,
    ])  # fmt: skip
    assert found.as_json() == {
        "charged": {"usd": 2000, "jpy": 500}, "refunded": {"usd": 1999}, "texted": 1,
    }  # fmt: skip
    assert found.told == "charged 20.00 USD, charged 500 JPY, refunded 19.99 USD, texted"


def test_a_charge_that_two_steps_tell_of_is_counted_once() -> None:
    """A confirmation of what is paid already is looked up, and tells the same payment."""
    twice = [charged("pi_1", 5, "usd"), charged("pi_1", 5, "usd", "b"), charged("pi_1", step="c")]
    assert Totals.of(twice).as_json() == {"charged": {"usd": 5}}
    assert Totals.of(reversed(twice)).as_json() == {"charged": {"usd": 5}}


def test_a_charge_without_an_amount_is_not_lost_among_those_with_one() -> None:
    some = Totals.of([charged("pi_1", 5, "usd"), charged("pi_2"), TEXTED])
    assert some.as_json() == {
        "charged": {"usd": 5}, "texted": 1, "without_amount": {"charged": 1},
    }  # fmt: skip
    assert some.told == "charged 0.05 USD, charged, texted"
    assert Totals.of([charged("pi_1"), charged("pi_2")]).as_json() == {"charged": 2}


def test_nothing_adds_up_to_nothing() -> None:
    assert (Totals.of([]).as_json(), Totals.of([]).told) == ({}, "")
    assert Totals() + Totals() == Totals.of([])


EFFECTS = st.lists(
    st.builds(
        Effect,
        step=st.just("a"),
        what=st.sampled_from(["charged", "refunded"]),
        id=st.uuids().map(str),
        amount=st.none() | st.integers(0, 10**15),
        currency=st.sampled_from(["usd", "eur", "jpy"]),
    )
)


@given(EFFECTS, EFFECTS)
def test_the_totals_of_two_runs_are_the_totals_of_all(one: list[Effect], two: list[Effect]) -> None:
    assert Totals.of(one) + Totals.of(two) == Totals.of([*one, *two])


@pytest.mark.parametrize(
    ("number", "told"), [(1, "texted"), (2, "texted twice"), (3, "texted 3 times")]
)
def test_how_often_is_told_in_words(number: int, told: str) -> None:
    texts = [Effect(step="b", what="texted", id=f"SM{n}") for n in range(number)]
    assert Totals.of(texts).told == told
