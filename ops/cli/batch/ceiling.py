"""``--max-total``: what all rows together may come to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import click

from ops.cli.batch.wording import amount
from orchestrator.engine.effects import money
from orchestrator.errors import InputsRefused

#: Minor units, for every currency; or as a person says an amount: "20,000.00 USD".
_MINOR: Final = re.compile(r"[0-9]{1,15}")
_SAID: Final = re.compile(r"([0-9][0-9,]{0,18}(?:\.[0-9]{1,4})?) ?([A-Za-z]{3})")
#: Of no currency that is named.
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Ceiling:
    #: Currency → minor units.
    limits: Mapping[str, int]

    def check(self, totals: Mapping[str, int] | None) -> None:
        """Raises InputsRefused for rows that come to more, or of which nobody can tell."""
        if not self.limits:
            return
        if totals is None:
            raise InputsRefused([
                "--max-total: no total can be told: some row has no whole number as its amount"
            ])
        if problems := [p for c, total in totals.items() if (p := self._problem(c, total))]:
            raise InputsRefused(problems)

    def _problem(self, currency: str, total: int) -> str:
        limit = self.limits.get(currency, self.limits.get(_ANY))
        told = amount(total, currency)
        if limit is None:
            name = currency.upper() or "amounts without a currency"
            return f"--max-total: the rows come to {told}, and it has no limit for {name}"
        if total > limit:
            return f"--max-total: the rows come to {told}, more than {amount(limit, currency)}"
        return ""


def ceiling(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> Ceiling:
    limits: dict[str, int] = {}
    for text in given:
        currency, limit = _read(text)
        if currency in limits:
            raise click.BadParameter("one limit for each currency")
        limits[currency] = limit
    return Ceiling(limits)


def _read(text: str) -> tuple[str, int]:
    if _MINOR.fullmatch(text):
        return _ANY, int(text)
    said = _SAID.fullmatch(text)
    if said is None:
        raise click.BadParameter(
            "expected an amount with its currency (20000.00USD),"
            " or a whole number of minor units for each currency (2000000)"
        )
    currency = said[2].lower()
    unit = Decimal(money(1, currency).partition(" ")[0])
    limit = Decimal(said[1].replace(",", "")) / unit
    if limit != limit.to_integral_value():
        raise click.BadParameter(f"{said[2].upper()} has no parts so small")
    return currency, int(limit)
