"""A Stripe form: brackets read into a tree, and values read as what they must be."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from ops.sandbox.exchange import RefusedError, form_pairs
from ops.sandbox.stripe.errors import refusal, unplayed

Node = str | dict[str, "Node"]

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_MAX_DEPTH: Final = 8
_METADATA_KEYS: Final = 50
_METADATA_KEY_LENGTH: Final = 40
_METADATA_VALUE_LENGTH: Final = 500
_NONE: Final[Mapping[str, str]] = {}


class Params:
    """The parameters of one call. Reading a value that cannot be what it must be refuses it."""

    def __init__(self, text: str) -> None:
        try:
            self._pairs = form_pairs(text)
        except ValueError:
            raise refusal("Too many parameters.") from None
        self._tree = _tree(self._pairs)

    def fingerprint(self) -> bytes:
        """Equal for equal parameters, in whatever order they came."""
        return hashlib.sha256(repr(sorted(self._pairs)).encode()).digest()

    def must_be_among(self, known: Collection[str], *, real: Collection[str] = ()) -> None:
        """Refuses what Stripe does not know, and what the sandbox would only pretend to do."""
        names = known if not real else {*known, *real}
        if unknown := [name for name in self._tree if name not in names]:
            raise _unknown(unknown)
        if missed := [name for name in self._tree if name not in known]:
            raise unplayed(f"parameter {missed[0]}")

    def __contains__(self, name: str) -> bool:
        """Whether it was sent, be it empty."""
        return name in self._tree

    def text(self, name: str) -> str | None:
        node = self._tree.get(name)
        if node is None:
            return None
        if not isinstance(node, str):
            raise refusal(f"Invalid string: {_shown(node)}", param=name)
        if not node:
            raise _cannot_be_unset(name)
        return node

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in choices:
            listed = ", ".join(choices)
            raise refusal(f"Invalid {name}: must be one of {listed}", param=name)
        return value

    def flag(self, name: str) -> bool:
        """`true` or `false`, spelled so; absent is false."""
        return _boolean(name, self.text(name))

    def integer(self, name: str, *, low: int, high: int | None = None) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if _INTEGER.fullmatch(value) is None:
            raise refusal(f"Invalid integer: {value}", code=_NOT_INTEGER, param=name)
        number = int(value)
        if number < low:
            raise refusal(
                f"This value must be greater than or equal to {low}.", code=_NOT_INTEGER, param=name
            )
        if high is not None and number > high:
            raise refusal(
                f"This value must be less than or equal to {high}.", code=_NOT_INTEGER, param=name
            )
        return number

    def needed_integer(self, name: str, *, low: int, high: int | None = None) -> int:
        number = self.integer(name, low=low, high=high)
        if number is None:
            raise _absent(name)
        return number

    def needed_text(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise _absent(name)
        return value

    def clearable_text(self, name: str) -> str | None:
        """A text that an empty string clears."""
        return None if self.clears(name) else self.text(name)

    def clears(self, name: str) -> bool:
        return self._tree.get(name) == ""

    def items(self, name: str) -> tuple[str, ...] | None:
        """`name[]=a&name[]=b` or `name[0]=a&name[1]=b`."""
        node = self._tree.get(name)
        if node is None:
            return None
        if isinstance(node, str):
            raise refusal("Invalid array", param=name)
        values = [value for value in node.values() if isinstance(value, str)]
        if len(values) != len(node) or not all(key.isdigit() for key in node):
            raise refusal("Invalid array", param=name)
        return tuple(values)

    def object(self, name: str, known: Collection[str]) -> Mapping[str, str] | None:
        """`name[key]=value`, each key a known one."""
        node = self._tree.get(name)
        if node is None:
            return None
        if isinstance(node, str):
            raise refusal("Invalid object", param=name)
        if unknown := [f"{name}[{key}]" for key in node if key not in known]:
            raise _unknown(unknown)
        return {key: _leaf(f"{name}[{key}]", value) for key, value in node.items()}

    def flag_of(self, name: str, members: Mapping[str, str], key: str) -> bool:
        return _boolean(f"{name}[{key}]", members.get(key))

    def metadata(self, before: Mapping[str, str] = _NONE) -> dict[str, str]:
        """Up to 50 texts by name, on top of those before.

        An empty value means no such name, and instead of all values, no names at all.
        """
        node = self._tree.get("metadata")
        if node is None:
            return dict(before)
        if not node:
            return {}
        if isinstance(node, str):
            raise refusal("Invalid object", param="metadata")
        said = {key: _metadata_text(key, value) for key, value in node.items()}
        texts = {key: text for key, text in {**before, **said}.items() if text}
        if len(texts) > _METADATA_KEYS:
            raise refusal(
                f"Metadata can have up to {_METADATA_KEYS} keys, and you passed {len(texts)}.",
                param="metadata",
            )
        return texts

    def range(self, name: str) -> tuple[int | None, int | None]:
        """Lowest and highest value that `name[gte]`, `[gt]`, `[lte]`, `[lt]` or `name` allow."""
        if isinstance(self._tree.get(name), str):
            exactly = self.integer(name, low=0)
            return exactly, exactly
        bounds = self.object(name, ("gte", "gt", "lte", "lt")) or {}
        numbers = {key: _bound(f"{name}[{key}]", value) for key, value in bounds.items()}
        low = [numbers[k] + add for k, add in (("gte", 0), ("gt", 1)) if k in numbers]
        high = [numbers[k] - sub for k, sub in (("lte", 0), ("lt", 1)) if k in numbers]
        return max(low, default=None), min(high, default=None)


_NOT_INTEGER: Final = "parameter_invalid_integer"


def _tree(pairs: Iterable[tuple[str, str]]) -> dict[str, Node]:
    root: dict[str, Node] = {}
    for name, value in pairs:
        if name.endswith("]"):
            _plant(root, name, value)
        else:
            root[name] = value
    return root


def _plant(root: dict[str, Node], name: str, value: str) -> None:
    """Puts `a[b][c]=value` where it belongs; `a[]` is the next of `a`."""
    first, *rest = name[:-1].replace("][", "[").split("[")
    if len(rest) > _MAX_DEPTH:
        raise refusal("Invalid parameter: nested too deep")
    branch, key = root, first
    for part in rest:
        node = branch.setdefault(key, {})
        if isinstance(node, str):
            raise refusal(f"Invalid parameter: {name} is given both as a value and as an object")
        branch, key = node, part or str(len(node))
    branch[key] = value


def _leaf(name: str, node: Node) -> str:
    if not isinstance(node, str):
        raise refusal(f"Invalid string: {_shown(node)}", param=name)
    if not node:
        raise _cannot_be_unset(name)
    return node


def _boolean(name: str, value: str | None) -> bool:
    if value not in {None, "true", "false"}:
        raise refusal(f"Invalid boolean: {value}", param=name)
    return value == "true"


def _bound(name: str, value: str) -> int:
    if _INTEGER.fullmatch(value) is None:
        raise refusal(f"Invalid integer: {value}", code=_NOT_INTEGER, param=name)
    return int(value)


def _metadata_text(key: str, value: Node) -> str:
    param = f"metadata[{key}]"
    if not isinstance(value, str):
        raise refusal("Metadata values can not be nested.", param=param)
    if len(key) > _METADATA_KEY_LENGTH:
        raise refusal(
            f"Metadata keys can be up to {_METADATA_KEY_LENGTH} characters long.", param=param
        )
    if len(value) > _METADATA_VALUE_LENGTH:
        raise refusal(
            f"Metadata values must be shorter than {_METADATA_VALUE_LENGTH} characters.",
            param=param,
        )
    return value


def _absent(name: str) -> RefusedError:
    return refusal(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _unknown(names: list[str]) -> RefusedError:
    what = "parameter" if len(names) == 1 else "parameters"
    return refusal(
        f"Received unknown {what}: {', '.join(names)}", code="parameter_unknown", param=names[0]
    )


def _cannot_be_unset(name: str) -> RefusedError:
    return refusal(
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{name}' cannot be unset. You should remove '{name}' from your "
        "request or supply a non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )


def _shown(node: dict[str, Node]) -> str:
    return str(node)
