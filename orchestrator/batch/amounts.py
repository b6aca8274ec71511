"""What all rows come to, by currency: a figure to compare before money moves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from orchestrator.expressions.nodes import Json

_CURRENCY: Final = re.compile(r"[A-Za-z]{3}")


class Amounts:
    """Sums an input of every row, in whole minor units.

    There is no total where one row has no such amount: a figure that leaves rows out is none.
    """

    def __init__(self, amount: str = "amount", currency: str = "currency") -> None:
        self._amount = amount
        self._currency = currency
        self._sums: dict[str, int] | None = {}

    @property
    def totals(self) -> dict[str, int] | None:
        """By currency in lower case, "" where rows name none; None if there is no total."""
        return None if self._sums is None else dict(sorted(self._sums.items()))

    def over(self, limit: int) -> bool:
        """Whether some currency comes to more, or nobody can tell."""
        return self._sums is None or any(total > limit for total in self._sums.values())

    def add(self, inputs: Mapping[str, Json]) -> None:
        if self._sums is None:
            return
        amount, currency = inputs.get(self._amount), inputs.get(self._currency, "")
        # Less than nothing would hide what others come to; bool is an int to Python.
        if type(amount) is not int or amount < 0 or not _is_currency(currency):
            self._sums = None
            return
        name = str(currency).lower()
        self._sums[name] = self._sums.get(name, 0) + amount


def _is_currency(value: Json) -> bool:
    """What is shown is three letters, never some other value of a row."""
    return value == "" or (isinstance(value, str) and _CURRENCY.fullmatch(value) is not None)
