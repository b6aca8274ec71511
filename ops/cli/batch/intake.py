"""Rows on their way from a file into the journal: judged one by one, none of them running yet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from ops.cli.batch.bar import counting
from ops.cli.inputs import gather
from orchestrator.batch import Amounts, Checked, Screening, Summary, format_of
from orchestrator.batch.rows import Format
from orchestrator.clock import Entropy
from orchestrator.errors import InputsRefused
from orchestrator.plan.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Which rows, and how they are to be read."""

    #: ``-``: standard input.
    file: str
    #: None: by the file's name.
    format: Format | None
    #: Input → column.
    mapping: Mapping[str, str]
    #: The column of run keys.
    key: str | None
    skip_bad: bool
    #: name=value: inputs of every row that gives none of its own.
    common: Sequence[str] = ()

    def judge(self, plan: Plan, entropy: Entropy, keep: Callable[[Checked], None]) -> Summary:
        """One pass; ``keep`` is given each good row, and none after a bad one that is not skipped.

        Raises RowsRefused when rows are bad and not to be skipped, or when none is good.
        """
        with self._open() as stream, counting(self.file) as count:
            head = stream.peek(64) if self.format is None else b""
            screening = Screening(
                plan,
                stream,
                file=self.file,
                format=self.format or format_of(self.file, head),
                salt=entropy.token(16),
                mapping=self.mapping,
                key=self.key,
                common=gather(plan.inputs, self.common, None),
                amounts=Amounts(),
            )
            for seen, row in enumerate(screening, 1):
                count(row.number)
                if self.skip_bad or row.number == seen:
                    keep(row)
        summary = screening.summary
        if not self.skip_bad or not summary.good:
            screening.raise_if_bad()
        return summary

    @contextmanager
    def _open(self) -> Iterator[BufferedReader]:
        if self.file == "-":
            yield _standard_input()
            return
        try:
            with Path(self.file).open("rb") as stream:
                yield stream
        except OSError as error:
            reason = (error.strerror or "it cannot be read").lower()
            raise InputsRefused([f"--data: {self.file}: {reason}"]) from None


def _standard_input() -> BufferedReader:
    found = getattr(sys.stdin, "buffer", None)
    if not isinstance(found, BufferedReader):
        raise InputsRefused(["--data -: there is no standard input"])
    return found
