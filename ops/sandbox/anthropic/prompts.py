"""What a model is asked: the body of a messages call, read and checked.

Only texts are played. There is no list of models or versions: any model whose name begins with
`claude-` and any version that is a date is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ops.sandbox.anthropic import known
from ops.sandbox.anthropic.errors import invalid, not_found, unplayed
from ops.sandbox.exchange import encoded, json_document

#: From this version on there is no sampling to be set.
_NO_SAMPLING: Final = "2026-10-21"
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_PLAYED: Final = frozenset({"model", "max_tokens", "messages", "system", "metadata", *_SAMPLING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    model: str
    max_tokens: int
    system: str
    #: Role and text of each message; the first is the user's.
    messages: tuple[tuple[str, str], ...]

    @property
    def asked(self) -> str:
        """What the user said last."""
        return next(text for role, text in reversed(self.messages) if role == "user")

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.system, *(text for _, text in self.messages))

    def digest(self) -> bytes:
        """SHA-256 of system prompt and messages."""
        said = {"system": self.system, "messages": self.messages}
        return hashlib.sha256(encoded(said)).digest()


def read_prompt(body: bytes, *, version: str) -> Prompt:
    document = _document(body)
    _check_names(document, version)
    return Prompt(
        model=_model(document),
        max_tokens=_max_tokens(document),
        system=_text(document.get("system", ""), "system"),
        messages=tuple(_messages(document)),
    )


def _document(body: bytes) -> Mapping[str, object]:
    try:
        document = json_document(body)
    except ValueError:
        raise invalid("The request body is not valid JSON") from None
    if not isinstance(document, dict):
        raise invalid("Input should be an object")
    return document


def _check_names(document: Mapping[str, object], version: str) -> None:
    for name, value in document.items():
        if name in known.PARAMETERS:
            if value:
                raise unplayed(f"parameter {name}")
        elif name not in _PLAYED:
            raise invalid(f"{name[:64]}: Extra inputs are not permitted")
        elif name in _SAMPLING and version >= _NO_SAMPLING:
            raise invalid(f"{name}: Extra inputs are not permitted since version {_NO_SAMPLING}")
    temperature = document.get("temperature", 1)
    if not _is_between_0_and_1(temperature):
        raise invalid("temperature: Input should be from 0 to 1")


def _model(document: Mapping[str, object]) -> str:
    model = document.get("model")
    if model is None:
        raise invalid("model: Field required")
    if not isinstance(model, str) or not model:
        raise invalid("model: Input should be a valid string")
    if not model.startswith("claude-"):
        raise not_found(f"model: {model[:64]}")
    return model


def _max_tokens(document: Mapping[str, object]) -> int:
    number = document.get("max_tokens")
    if number is None:
        raise invalid("max_tokens: Field required")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise invalid("max_tokens: Input should be a whole number from 1")
    return number


def _messages(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    messages = document.get("messages")
    if messages is None:
        raise invalid("messages: Field required")
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if not isinstance(message, dict):
            raise invalid(f"{where}: Input should be an object")
        role = message.get("role")
        if role not in {"user", "assistant"}:
            raise invalid(f"{where}.role: Input should be 'user' or 'assistant'")
        if index == 0 and role != "user":
            raise invalid('messages: first message must use the "user" role')
        text = _text(message.get("content"), f"{where}.content")
        if not text:
            raise invalid(f"{where}.content: must not be empty")
        yield str(role), text


def _text(content: object, where: str) -> str:
    """A text, or the texts of text blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(f"{where}: Input should be a valid string or a list of blocks")
    return "\n".join(_block(block, f"{where}.{index}") for index, block in enumerate(content))


def _block(block: object, where: str) -> str:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        raise invalid(f"{where}: Input should be a block with a type")
    if block["type"] in known.BLOCKS:
        raise unplayed(f"content block of type {block['type']}")
    if block["type"] != "text":
        raise invalid(f"{where}.type: Input should be a known type of block")
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"{where}.text: Input should be a valid string")
    return text


def _is_between_0_and_1(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
