"""Values are sealed before they reach Redis: AES-256-GCM, bound to where they stand.

A sealed value is ``0x01 · key id (4 bytes) · nonce (12) · ciphertext``; with sealing
switched off it is ``0x00 · plaintext``. The place (``run:field``) is authenticated with
it: a value copied to another run or field does not open. The first key of the ring seals,
all of them open, so keys rotate by putting a new one in front.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator.errors import SealBroken, SettingsRefused

_PLAIN: Final = b"\x00"
_SEALED: Final = b"\x01"
_ID: Final = 4
_NONCE: Final = 12
KEY_BYTES: Final = 32


class Seal(Protocol):
    def seal(self, value: bytes, place: str) -> bytes: ...

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises SealBroken when no key at hand opens it, or it was moved or changed."""
        ...


class NoSeal:
    """Sealing switched off on purpose (``DURAZZO_SEAL=off``)."""

    def seal(self, value: bytes, place: str) -> bytes:  # noqa: ARG002
        return _PLAIN + value

    def open(self, sealed: bytes, place: str) -> bytes:
        if sealed[:1] != _PLAIN:
            raise SealBroken(f"{place} is sealed, and no key is set: set DURAZZO_KEYS")
        return sealed[1:]


class AesSeal:
    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ring = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        #: Of its keys, newest first, as ``key_id`` tells them.
        self.ids: Final = tuple(id_.hex() for id_ in self._ring)

    def seal(self, value: bytes, place: str) -> bytes:
        nonce = os.urandom(_NONCE)
        text = self._ring[self._current].encrypt(nonce, value, place.encode())
        return _SEALED + self._current + nonce + text

    def open(self, sealed: bytes, place: str) -> bytes:
        key_id = sealed[1 : 1 + _ID]
        cipher = self._ring.get(key_id)
        if sealed[:1] != _SEALED or cipher is None:
            raise SealBroken(f"{place} was sealed with a key that is not in DURAZZO_KEYS")
        nonce = sealed[1 + _ID : 1 + _ID + _NONCE]
        try:
            return cipher.decrypt(nonce, sealed[1 + _ID + _NONCE :], place.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"{place} was changed since it was sealed") from None


def key_id(sealed: bytes) -> str:
    """Of the key that a value was sealed with, in hex; "" for what no key has sealed."""
    return sealed[1 : 1 + _ID].hex() if sealed[:1] == _SEALED else ""


def keyring(text: str) -> list[bytes]:
    """Keys from ``DURAZZO_KEYS``: base64 of 32 bytes each, comma-separated, newest first."""
    keys = []
    for number, word in enumerate(text.split(","), 1):
        try:
            key = base64.b64decode(word.strip(), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingsRefused(
                f"DURAZZO_KEYS: key {number} is not base64 of {KEY_BYTES} bytes"
                " (make one with: openssl rand -base64 32)"
            )
        keys.append(key)
    return keys


def new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"durazzo key id" + key).digest()[:_ID]
