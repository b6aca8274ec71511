"""Which line of a file had a key first, for a million keys in 48 MiB at most."""

from __future__ import annotations

from array import array
from hashlib import blake2b


class SeenKeys:
    """A hash table in two flat arrays. It holds hashes and line numbers, and no key.

    Two of a million keys have the same hash in one of 37 million files; such a file is taken on
    the next try, whose salt is another.
    """

    def __init__(self, salt: bytes) -> None:
        """``salt``: random, up to 64 bytes, for this pass alone."""
        self._salt = salt
        self._count = 0
        self._allot(1 << 10)

    def first(self, key: str, line: int) -> int:
        """The line that had this key before; 0, from now on ``line``, if none had."""
        hashed = blake2b(key.encode(), digest_size=8, key=self._salt).digest()
        found = int.from_bytes(hashed, "little") or 1
        slot = self._slot(found)
        if self._hashes[slot]:
            return self._lines[slot]
        self._hashes[slot] = found
        self._lines[slot] = line
        self._count += 1
        if self._count * 3 > len(self._hashes) * 2:
            self._grow()
        return 0

    def _slot(self, hashed: int) -> int:
        """Where it stands, or the free place where it would."""
        hashes, mask = self._hashes, self._mask
        slot = hashed & mask
        while (there := hashes[slot]) and there != hashed:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        hashes, lines = self._hashes, self._lines
        self._allot(2 * len(hashes))
        for hashed, line in zip(hashes, lines, strict=True):
            if hashed:
                slot = self._slot(hashed)
                self._hashes[slot] = hashed
                self._lines[slot] = line

    def _allot(self, size: int) -> None:
        """``size`` is a power of two. 0 is a free place."""
        self._mask = size - 1
        self._hashes = array("Q", (0,)) * size
        self._lines = array("Q", (0,)) * size
