"""Validate: a document's file → its plan, or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats.load import FileSources, Loaded, Provider, bundled, load, specs_folder
from orchestrator.policy.profiles import Profile

#: A document's file. Bytes.
MAX_DOCUMENT: Final = 1024 * 1024


def validate(
    file: Path,
    profiles: Iterable[Profile],
    *,
    workflow: str | None = None,
    sources: Mapping[str, Path] | None = None,
    servers: Mapping[str, str] | None = None,
    strict: bool = False,
) -> Loaded:
    """Load a document, Arazzo or OSOP. Nothing is stored and nothing is called.

    ``sources``: files for source descriptions, by name; ``servers``: see ``formats.load``.
    Raises DocumentRefused with all diagnostics, also for a file that cannot be read.
    """
    return load(
        read(file),
        file=str(file),
        sources=FileSources(
            given=sources or {}, shipped=bundled(specs_folder()), folder=file.parent
        ),
        providers=[_known(profile) for profile in profiles],
        workflow=workflow,
        strict=strict,
        servers=servers,
    )


def read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or "it cannot be read") from None
    if len(data) > MAX_DOCUMENT:
        raise _unreadable(file, f"a document has at most {MAX_DOCUMENT // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"it is not UTF-8 (byte {error.start})") from None


def _unreadable(file: Path, problem: str) -> DocumentRefused:
    found = Diagnostic(
        code="document-unreadable",
        severity="error",
        message=problem,
        file=str(file),
        line=1,
        column=1,
    )
    return DocumentRefused([found])


def _known(profile: Profile) -> Provider:
    return Provider(
        name=profile.name,
        hosts=profile.hosts,
        form_style=profile.form_style,
        default_encoding=profile.default_encoding,
    )


__all__ = ["MAX_DOCUMENT", "Loaded", "read", "validate"]
