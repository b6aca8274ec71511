"""Copies of what changes at every turn of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # So that fields and their types are checked.
    from dataclasses import replace as changed
else:

    def changed(value: Any, /, **fields: Any) -> Any:
        """``dataclasses.replace`` in a quarter of its time.

        Of a frozen dataclass without slots, whose fields are its ``__dict__``: its ``__init__``,
        which sets thirty frozen fields one by one, is left out. Raises TypeError for a field that
        there is not.
        """
        before = value.__dict__
        after = before | fields
        if len(after) != len(before):
            unknown = ", ".join(fields.keys() - before)
            raise TypeError(f"{type(value).__name__} has no field {unknown}")
        copy = object.__new__(type(value))
        object.__setattr__(copy, "__dict__", after)
        return copy


__all__ = ["changed"]
