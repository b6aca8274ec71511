"""Rows of a JSON Lines file: one object a line, its members the row's cells."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.batch.reading import MAX_COLUMNS, MAX_NAME, Reading, Row
from orchestrator.expressions.nodes import Json
from orchestrator.plan.given import NotJson, parsed


class JsonRows(Reading):
    """Blank lines are no rows."""

    def _each(self) -> Iterator[Row]:
        for text in self._lines:
            if not text.isspace():
                number, line = self._count(), self._lines.row_line
                if (values := self._object(text, line)) is not None:
                    yield Row(number, line, values)
            self._lines.begin_row()

    def _object(self, text: str, line: int) -> dict[str, Json] | None:
        try:
            found = parsed(text)
        except NotJson as error:
            # Its ``name`` may stand deep within a value.
            self._faults.add("row-json", f"not JSON: {error.reason}", line, error.column or 1)
            return None
        if not isinstance(found, dict):
            self._faults.add("row-json", "not a JSON object: each line is one", line)
        elif len(found) > MAX_COLUMNS:
            self._faults.add("row-json", f"more than {MAX_COLUMNS} members", line)
        elif len(text) > MAX_NAME and any(len(name) > MAX_NAME for name in found):
            message = f"a member's name has more than {MAX_NAME} characters"
            self._faults.add("row-json", message, line)
        else:
            return found
        return None
