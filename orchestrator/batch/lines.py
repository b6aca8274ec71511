"""A file's bytes as lines of text, with no more than one row of them in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from orchestrator.batch.faults import Faults
from orchestrator.errors import RowsRefused

#: One row as it is written, with all of its lines. Bytes.
MAX_ROW: Final = 256 * 1024
_CHUNK: Final = 64 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
_SAVE: Final = "save it as UTF-8 (a spreadsheet calls it 'CSV UTF-8')"


class Lines:
    """LF, CRLF or CR in the file; every line that comes out of here ends with LF.

    So a file that was converted from one to the other has the same rows, also where a cell has
    line ends of its own. The caller says where a row begins (``begin_row``).
    """

    def __init__(self, stream: BinaryIO, faults: Faults) -> None:
        self._stream = stream
        self._faults = faults
        #: Of the line that came last, from 1; 0 before the first.
        self.number = 0
        #: The line where the row begins.
        self.row_line = 1
        self._row_size = 0
        #: In the file, of the next line. Bytes.
        self._offset = 0

    def begin_row(self) -> None:
        self.row_line = self.number + 1
        self._row_size = 0

    def __iter__(self) -> Iterator[str]:
        """Raises RowsRefused for what is no text, and for a row that is too large."""
        for line in self._split():
            self.number += 1
            self._row_size += len(line)
            if self._row_size > MAX_ROW:
                raise self._too_large()
            if b"\0" in line:
                raise self._no_text(line, line.index(b"\0"), "there is a NUL byte")
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise self._no_text(line, error.start, "the text is not UTF-8") from None
            self._offset += len(line)
            if line.endswith(b"\r\n"):
                yield text[:-2] + "\n"
            elif line.endswith(b"\r"):
                yield text[:-1] + "\n"
            else:
                yield text

    def _split(self) -> Iterator[bytes]:
        rest = self._opening()
        while chunk := self._stream.read(_CHUNK):
            # Without ends: what is kept of a line may be half of a CRLF.
            lines = (rest + chunk).splitlines(keepends=True)
            rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
            yield from lines
            if len(rest) + self._row_size > MAX_ROW:
                raise self._too_large()
        if rest:
            yield from rest.splitlines(keepends=True)

    def _opening(self) -> bytes:
        head = self._stream.read(_CHUNK)
        if head.startswith(_UTF_16):
            raise self._faults.stop("rows-encoding", f"the file is UTF-16, not UTF-8: {_SAVE}")
        if head.startswith(_BOM):
            self._offset = len(_BOM)
            return head[len(_BOM) :]
        return head

    def _no_text(self, line: bytes, at: int, what: str) -> RowsRefused:
        column = len(line[:at].decode(errors="replace")) + 1
        message = f"{what} (byte {self._offset + at} of the file, from 0): {_SAVE}"
        return self._faults.stop("rows-encoding", message, self.number, column)

    def _too_large(self) -> RowsRefused:
        limit = f"{MAX_ROW // 1024} KiB"
        message = f"a row has more than {limit}: shorten it, or look for a quote never closed"
        return self._faults.stop("rows-too-large", message, self.row_line)
