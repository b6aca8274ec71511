"""Where source descriptions come from: --source, the bundled map, the folder, or the web."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import ClassVar, Final, Protocol

from orchestrator.errors import DocumentRefused, DurazzoError
from orchestrator.formats import source
from orchestrator.formats.diagnostics import Report, did_you_mean

#: Bytes of a file that are read at most.
MAX_BYTES: Final = source.DESCRIPTION.size
#: Characters of a path in a message.
_SHOWN: Final = 200


class SourceUnresolved(DurazzoError):
    """A source description that cannot be had; the message says what to do."""

    code: ClassVar[str] = "source-unresolved"


class SourceUnreachable(SourceUnresolved):
    """A source description that could not be fetched now; a later try may go well."""

    code = "source-unreachable"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        #: What happened, without what to do about it.
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    text: str
    #: How diagnostics call the file.
    file: str
    #: What the reader must be told: this is an old copy, and why. "": nothing.
    stale: str = ""


class SourceResolver(Protocol):
    def read(self, name: str, url: str) -> SourceText:
        """The text of the source description ``name``, published at ``url``.

        Raises SourceUnresolved.
        """


def specs_folder() -> Path:
    """The data that durazzo ships: ``specs/`` stands beside the package, installed or not."""
    return Path(__file__).resolve().parents[2] / "specs"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSources:
    """First what was given by name, then what is shipped, then the web or the document's folder.

    A URL with a scheme is the web's and any other the folder's: they never compete.
    """

    #: By source description name (``--source NAME=FILE``).
    given: Mapping[str, Path] = field(default_factory=dict)
    #: By URL as written in documents; see ``bundled``.
    shipped: Mapping[str, Path] = field(default_factory=dict)
    #: The document's folder; relative URLs do not lead out of it.
    folder: Path | None = None
    #: Reads what has an http or https URL; None: nothing is fetched.
    web: SourceResolver | None = None

    def read(self, name: str, url: str) -> SourceText:
        if not url.isprintable():
            raise SourceUnresolved(
                f"its URL holds control characters; give it with --source {name}=FILE"
            )
        path = self.given.get(name) or self.shipped.get(url)
        if path is None and self.web is not None and _on_the_web(url):
            return self.web.read(name, url)
        path = path or self._beside(name, url)
        return SourceText(text=_text(path, name), file=str(path))

    def _beside(self, name: str, url: str) -> Path:
        hint = f"give it with --source {name}=FILE"
        if "://" in url:
            raise SourceUnresolved(f"{shown(url)} is nothing that can be fetched here; {hint}")
        if self.folder is None:
            raise SourceUnresolved(f"'{url}' is relative to nothing here; {hint}")
        folder = self.folder.resolve()
        try:
            path = (folder / url).resolve()
            found = path.is_file()
        except (OSError, RuntimeError):
            # A name too long, links in a circle.
            raise SourceUnresolved(
                f"'{url[:_SHOWN]}' is no path that can be read; {hint}"
            ) from None
        if not path.is_relative_to(folder):
            raise SourceUnresolved(f"'{url}' leads out of the document's folder; {hint}")
        if not found:
            raise SourceUnresolved(f"there is no file {path}; {hint}")
        return path


def check_given(sources: SourceResolver, names: Collection[str], report: Report) -> None:
    """A file that is given for nothing leaves the document with a description not meant."""
    given = sources.given if isinstance(sources, FileSources) else {}
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names) or "; this document names none"
            message = f"--source {name}=…: no source description is called so{hint}"
            report.error("source-unknown", message)


def shown(url: str) -> str:
    """A URL as messages and files call it: a user or a query may hold a secret."""
    scheme, separator, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def bundled(specs: Path) -> Mapping[str, Path]:
    """The shipped source map: URL as documents write it → file under ``specs``.

    Raises DocumentRefused if the map itself cannot be read.
    """
    file = specs / "sources.yaml"
    text = _text(file, "the source map")
    report = Report(file=str(file), text=text)
    tree = source.parse(text, report)
    report.raise_if_refused()
    if not isinstance(tree, source.Mapping):
        report.error("source-map", "expected a mapping of URL to file")
        raise DocumentRefused(report.diagnostics)
    return {
        key.text: specs / value.text
        for key, value in tree.entries
        if isinstance(value, source.Scalar)
    }


def _on_the_web(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _text(path: Path, name: str) -> str:
    try:
        if not S_ISREG(path.stat().st_mode):
            raise SourceUnresolved(f"{path} ({name}) is no regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SourceUnresolved(f"{path} ({name}) has more than {MAX_BYTES} bytes")
        return data.decode("utf-8-sig")
    except OSError as problem:
        reason = problem.strerror or "it cannot be read"
        raise SourceUnresolved(f"{path} ({name}): {reason}") from problem
    except UnicodeDecodeError as problem:
        raise SourceUnresolved(f"{path} ({name}) is not UTF-8") from problem
