"""Every error durazzo raises, drawn once.

    DurazzoError
    ├── DocumentRefused      a document has errors; carries all its diagnostics    exit 3
    ├── InputsRefused        inputs do not fit the workflow                        exit 3
    ├── RowsRefused          rows of a batch cannot be taken; carries the first faults exit 3
    ├── RunKeyConflict       a run key used before for another plan or inputs      exit 3
    ├── RunRemoved           a run key used before for a run that is removed       exit 3
    ├── UnknownRun           no run of that id                                     exit 2
    ├── NotInDoubt           a step to be resolved about which there is no doubt   exit 2
    ├── RetryRefused         a run that cannot be retried, or not without force    exit 2
    ├── ForgetRefused        a run whose values cannot be erased yet               exit 2
    ├── BatchConflict        a batch's id used before for other rows               exit 3
    ├── UnknownBatch         no batch of that id                                   exit 2
    ├── UploadGone           rows that were stored too long ago to be opened       exit 2
    ├── RunEnded             a run that ended before it could be cancelled or held exit 2
    ├── UnknownProvider      no provider of that name                              exit 2
    ├── SettingsRefused      a setting cannot be used                              exit 2
    ├── JournalUnavailable   Redis cannot be reached or refuses                    exit 4
    ├── RedisUnfit           a setting of Redis breaks a promise                   exit 4
    ├── NoWorker             nobody would drive the run                            exit 4
    ├── SealBroken           a sealed value cannot be opened with the keys at hand
    ├── CredentialMissing    a secret that a provider needs is not there         exit 2
    ├── NewerRelease         written by a release that this one cannot read
    ├── SourceUnresolved     a source description cannot be had
    │   └── SourceUnreachable    its host does not answer: it may pass
    ├── RenderFailed         a request cannot be built from what the run holds
    └── ConditionFailed      a condition has no answer: neither true nor false

Each has a stable ``code`` (kebab-case), and a message that says what to do.
Messages never carry inputs, secrets or provider texts: codes and names only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding in a document, where it is and what to do about it."""

    code: str
    #: "error" refuses the document, "warning" is a leniency (refused by --strict), "note" is
    #: something to know.
    severity: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    #: JSON pointer into the document, "" for the whole.
    pointer: str = ""
    #: The source line, for the caret; "" when there is none to show.
    excerpt: str = ""

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "pointer": self.pointer,
            "message": self.message,
        }


class DurazzoError(Exception):
    code: ClassVar[str] = "durazzo"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class DocumentRefused(DurazzoError):
    code = "document-refused"
    exit_code = 3

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = [d for d in self.diagnostics if d.severity == "error"]
        super().__init__(errors[0].message if errors else "the document was refused")


class InputsRefused(DurazzoError):
    code = "inputs-refused"
    exit_code = 3

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class RowsRefused(DurazzoError):
    code = "rows-refused"
    exit_code = 3

    def __init__(self, faults: Sequence[Diagnostic], *, found: int) -> None:
        #: The first of them, in the order of the file.
        self.faults = tuple(faults)
        #: How many there are in all.
        self.found = found
        super().__init__(self.faults[0].message if found == 1 else f"{found} faults in the rows")


class RunKeyConflict(DurazzoError):
    code = "run-key-conflict"
    exit_code = 3


class RunRemoved(DurazzoError):
    code = "run-removed"
    exit_code = 3


class UnknownRun(DurazzoError):
    code = "unknown-run"
    exit_code = 2


class NotInDoubt(DurazzoError):
    code = "not-in-doubt"
    exit_code = 2


class RetryRefused(DurazzoError):
    code = "retry-refused"
    exit_code = 2


class ForgetRefused(DurazzoError):
    code = "forget-refused"
    exit_code = 2


class BatchConflict(DurazzoError):
    code = "batch-conflict"
    exit_code = 3


class UnknownBatch(DurazzoError):
    code = "unknown-batch"
    exit_code = 2


class UploadGone(DurazzoError):
    code = "upload-gone"
    exit_code = 2


class RunEnded(DurazzoError):
    code = "run-ended"
    exit_code = 2


class UnknownProvider(DurazzoError):
    code = "unknown-provider"
    exit_code = 2


class SettingsRefused(DurazzoError):
    code = "settings-refused"
    exit_code = 2


class JournalUnavailable(DurazzoError):
    code = "redis-unavailable"
    exit_code = 4

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        #: What is wrong with Redis, for logs, e.g. "out-of-memory"; "" when it is not known.
        self.reason = reason


class RedisUnfit(DurazzoError):
    code = "redis-unfit"
    exit_code = 4


class NoWorker(DurazzoError):
    code = "no-worker"
    exit_code = 4


class SealBroken(DurazzoError):
    code = "seal-broken"


class CredentialMissing(DurazzoError):
    code = "credential-missing"
    exit_code = 2

    def __init__(self, message: str, *, secret: str = "") -> None:
        super().__init__(message)
        #: The secret's name, never its value; "" when it is not about one.
        self.secret = secret


class NewerRelease(DurazzoError):
    """Left for a worker that can read it: no failure of the run."""

    code = "newer-release"


class RenderFailed(DurazzoError):
    code = "render-failed"


class ConditionFailed(DurazzoError):
    """Its message is the kind of error only, e.g. "not-found": CEL's own text may hold values."""

    code = "condition-failed"
