"""A JSON object read field by field into types, for documents that a schema has checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from orchestrator.errors import DurazzoError
from orchestrator.expressions.nodes import Json

T = TypeVar("T", bound=str)


class ProfileRefused(DurazzoError):
    code = "profile-refused"
    exit_code = 2


class Table:
    """Lists and pairs that are not there are empty; other fields without default are required."""

    def __init__(self, value: Json, where: str = "") -> None:
        if not isinstance(value, dict):
            raise ProfileRefused(f"{where or '/'}: expected an object")
        self._fields = value
        self._where = where

    def refuse(self, name: str) -> ProfileRefused:
        return ProfileRefused(f"{self._where}/{name}: missing, or not what belongs there")

    def has(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str | None = None) -> str:
        value = self._fields.get(name, default)
        if not isinstance(value, str):
            raise self.refuse(name)
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._fields.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refuse(name)
        return value

    def number(self, name: str) -> float:
        value = self._fields.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.refuse(name)
        return float(value)

    def flag(self, name: str) -> bool:
        value = self._fields.get(name)
        if not isinstance(value, bool):
            raise self.refuse(name)
        return value

    def choice(self, name: str, choices: Sequence[T], default: str | None = None) -> T:
        value = self.text(name, default)
        for choice in choices:
            if choice == value:
                return choice
        raise self.refuse(name)

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.scalars(name)
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(name)
        return tuple(str(value) for value in values)

    def scalars(self, name: str) -> tuple[str | int | bool, ...]:
        found: list[str | int | bool] = []
        for value in self._list(name):
            if not isinstance(value, str | int):
                raise self.refuse(name)
            found.append(value)
        return tuple(found)

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        if not self.has(name):
            return ()
        table = self.table(name)
        return tuple((field, table.text(field)) for field in table._fields)

    def table(self, name: str) -> Table:
        return Table(self._fields.get(name), f"{self._where}/{name}")

    def tables(self, name: str) -> tuple[Table, ...]:
        items = enumerate(self._list(name))
        return tuple(Table(item, f"{self._where}/{name}/{index}") for index, item in items)

    def _list(self, name: str) -> list[Json]:
        value = self._fields.get(name, [])
        if not isinstance(value, list):
            raise self.refuse(name)
        return value
