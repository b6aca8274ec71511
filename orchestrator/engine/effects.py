"""What the calls of a run did to the world outside, as their answers told it. Pure.

An outcome tells one effect as text, ``charged pi_1 1999 usd``: what, the provider's id of it, and
where the answer says how much, a whole number of minor units and the currency. Without an amount
the text is ``texted SM1``, and so is every text of releases that kept no amounts. A visit holds
the texts of all its attempts, with ``;`` between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from orchestrator.expressions.nodes import Json

_MONEY: Final = re.compile(r"[0-9]{1,15} [a-z]{3}")
#: Digits after the point, where they are not two: ISO 4217, table A.1 (SIX Group). Providers
#: depart from it, and amounts stay as the provider counts them: so ISK and UGX have two here, and
#: MGA none, as Stripe counts them (docs.stripe.com/currencies, "Special cases").
_EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys((
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "uyi", "vnd", "vuv",
        "xaf", "xof", "xpf",
    ), 0),
    **dict.fromkeys(("bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"), 3),
    **dict.fromkeys(("clf", "uyw"), 4),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What stands at a provider, whatever became of the run."""

    step: str
    #: As a person says it: "charged", "texted".
    what: str
    #: The provider's id of it.
    id: str
    #: In the currency's minor units, as the provider counts them; None where it told none.
    amount: int | None = None
    #: Three letters, lower case; "" without an amount.
    currency: str = ""

    @property
    def told(self) -> str:
        """In a person's words: "charged 19.99 USD pi_1"."""
        sum_of_it = "" if self.amount is None else money(self.amount, self.currency)
        return " ".join(word for word in (self.what, sum_of_it, self.id) if word)

    def as_json(self) -> dict[str, Json]:
        return {
            "step": self.step,
            "what": self.what,
            "id": self.id,
            "amount": self.amount,
            "currency": self.currency or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums of effects, exact: one effect that two steps tell of is one."""

    #: What → currency → minor units.
    amounts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: What → how many of it told no amount.
    counts: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(effects: Iterable[Effect]) -> Totals:
        """Of one run: an id names one effect, and whoever tells its amount is heard."""
        known: dict[tuple[str, str], Effect] = {}
        for effect in effects:
            name = effect.what, effect.id
            if name not in known or effect.amount is not None:
                known[name] = effect
        amounts: dict[str, Counter[str]] = {}
        counts: Counter[str] = Counter()
        for effect in known.values():
            if effect.amount is None:
                counts[effect.what] += 1
            else:
                amounts.setdefault(effect.what, Counter())[effect.currency] += effect.amount
        return Totals(amounts=amounts, counts=counts)

    def __add__(self, other: Totals) -> Totals:
        """Of different runs."""
        whats = dict.fromkeys((*self.amounts, *other.amounts))
        return Totals(
            amounts={w: _sum(self.amounts.get(w, {}), other.amounts.get(w, {})) for w in whats},
            counts=_sum(self.counts, other.counts),
        )

    @property
    def told(self) -> str:
        """In a person's words: "charged 19.99 USD, texted twice"; "" for nothing."""
        sums = [
            f"{what} {money(amount, currency)}"
            for what, found in self.amounts.items()
            for currency, amount in found.items()
        ]
        times = [f"{what}{_times(number)}" for what, number in self.counts.items()]
        return ", ".join([*sums, *times])

    def as_json(self) -> dict[str, Json]:
        """``{"charged": {"usd": 1999}, "texted": 1}``.

        Where some of what has amounts told none, their number stands under ``without_amount``.
        """
        untold = {what: n for what, n in self.counts.items() if what in self.amounts}
        plain: dict[str, Json] = {what: {**sums} for what, sums in self.amounts.items()}
        plain |= {what: n for what, n in self.counts.items() if what not in untold}
        return plain | ({"without_amount": {**untold}} if untold else {})


def read(step: str, text: str) -> Effect:
    """Whatever the text is: what cannot be read as an amount is none."""
    what, _, rest = text.partition(" ")
    name, _, sum_of_it = rest.partition(" ")
    if _MONEY.fullmatch(sum_of_it) is None:
        return Effect(step=step, what=what, id=name)
    amount, _, currency = sum_of_it.partition(" ")
    return Effect(step=step, what=what, id=name, amount=int(amount), currency=currency)


def read_all(step: str, texts: str) -> tuple[Effect, ...]:
    return tuple(read(step, text) for text in joined(texts).split(";") if text)


def joined(known: str, new: str = "") -> str:
    """Once each: an answer that is replayed did nothing more.

    One release may have told an effect without its amount and the next one with it.
    """
    found: dict[str, str] = {}
    for text in filter(None, (*known.split(";"), new)):
        name = " ".join(text.split(" ")[:2])
        if name not in found or name != text:
            found[name] = text
    return ";".join(found.values())


def money(amount: int, currency: str) -> str:
    """``amount`` in minor units: 1999 usd is "19.99 USD", 500 jpy "500 JPY"."""
    return f"{Decimal(amount).scaleb(-_EXPONENTS.get(currency, 2)):f} {currency.upper()}"


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    names = dict.fromkeys((*one, *other))
    return {name: one.get(name, 0) + other.get(name, 0) for name in names}


def _times(number: int) -> str:
    return {1: "", 2: " twice"}.get(number, f" {number} times")


__all__ = ["Effect", "Totals", "joined", "money", "read", "read_all"]
