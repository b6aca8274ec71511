"""The document: whether it can be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from ops.cli.doctor.finding import Finding, State, counted
from ops.cli.document import Reading
from orchestrator.errors import Diagnostic, DocumentRefused, SettingsRefused
from orchestrator.service import Loaded

GROUP: Final = "Document"


def look(reading: Reading) -> tuple[Finding, Loaded | None]:
    """None when it is refused: nothing can be said of its calls then."""
    hint = f"durazzo validate {reading.file} shows where"
    try:
        loaded = reading.load()
    except DocumentRefused as error:
        message = _count(error.diagnostics)
        found = Finding(
            group=GROUP,
            name="diagnostics",
            state=State.ERROR,
            message=message,
            hint=hint,
            code=error.exit_code,
        )
        return found, None
    except SettingsRefused:
        # Said already, with the settings.
        message = "it cannot be read while a setting cannot be used"
        return Finding(group=GROUP, name="diagnostics", state=State.UNKNOWN, message=message), None
    warnings = any(d.severity == "warning" for d in loaded.diagnostics)
    state = State.WARNING if warnings else State.OK
    message = f"{_count(loaded.diagnostics)} (workflow {loaded.plan.name})"
    found = Finding(
        group=GROUP,
        name="diagnostics",
        state=state,
        message=message,
        hint=hint if warnings else "",
    )
    return found, loaded


def overlays(loaded: Loaded) -> Iterator[Finding]:
    """That the document does not do what it says as it was published."""
    for diagnostic in loaded.diagnostics:
        if diagnostic.code == "overlay-available":
            message, _, hint = diagnostic.message.partition("; ")
            yield Finding(
                group=GROUP, name="overlay", state=State.WARNING, message=message, hint=hint
            )  # fmt: skip


def _count(diagnostics: Iterable[Diagnostic]) -> str:
    severities = Counter(diagnostic.severity for diagnostic in diagnostics)
    return f"{counted(severities['error'], 'error')}, {counted(severities['warning'], 'warning')}"
