"""What a judge finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that must not be."""

    code: str
    says: str
    #: "" when it is not about one.
    run: str = ""
    customer: str = ""

    def as_json(self) -> dict[str, str]:
        return {
            "code": self.code, "run": self.run, "customer": self.customer, "says": self.says,
        }  # fmt: skip
