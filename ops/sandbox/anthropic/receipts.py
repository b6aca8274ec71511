"""What is written instead of what a model would write: a receipt of the prompt's own facts.

A fact is a line `- name: value` of what the user said last. Nothing else is stated, and that a
look-alike wrote it is said first. `SANDBOX_REFUSAL` anywhere in the prompt is refused, as a model
refuses: with 200, the stop reason `refusal` and nothing written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.sandbox.anthropic.prompts import Prompt

REFUSED_WORD: Final = "SANDBOX_REFUSAL"
WRITTEN_BY: Final = (
    "This receipt was written by a sandbox's look-alike of Claude. No model was asked; it repeats "
    "what the prompt states."
)
NO_FACTS: Final = "The prompt states no facts."
_CHARACTERS_A_TOKEN: Final = 4
_MAX_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    #: None for a refusal.
    text: str | None
    stop_reason: str
    input_tokens: int
    output_tokens: int


def written(prompt: Prompt) -> Written:
    """As many tokens as the prompt allows, and no more."""
    asked = tokens("".join(prompt.texts))
    if any(REFUSED_WORD in text for text in prompt.texts):
        return Written(text=None, stop_reason="refusal", input_tokens=asked, output_tokens=0)
    whole = _receipt(prompt.asked)
    text = whole[: prompt.max_tokens * _CHARACTERS_A_TOKEN]
    return Written(
        text=text,
        stop_reason="end_turn" if text == whole else "max_tokens",
        input_tokens=asked,
        output_tokens=tokens(text),
    )


def tokens(text: str) -> int:
    """About as many as a model would count: one for each four characters begun."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def _receipt(asked: str) -> str:
    lines = [line.strip() for line in asked.splitlines()]
    facts = [line for line in lines if _is_fact(line)]
    subject = next((line for line in lines if _is_subject(line)), "")
    about = [f"Subject: {subject[:_MAX_SUBJECT]}"] if subject else []
    return "\n".join([*about, WRITTEN_BY, "", *(facts or [NO_FACTS])])


def _is_fact(line: str) -> bool:
    return line.startswith("- ") and ": " in line


def _is_subject(line: str) -> bool:
    """What is to be done: neither a fact nor the heading above facts."""
    return bool(line) and not _is_fact(line) and not line.endswith(":")
