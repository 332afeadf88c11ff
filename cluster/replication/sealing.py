"""Encryption at rest: AES-256-GCM with data keys of the node's own.

A data key never encrypts anything itself. Every file has a salt of its own, from which a key
for this one file is derived (HKDF, RFC 5869), so the nonces inside a file can simply count: a
pair of key and nonce is never used twice, not even after a restored backup of the directory.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT_BYTES: Final = 16
KEY_ID_BYTES: Final = 8


class Damaged(Exception):
    """Sealed bytes were changed, or sealed under another key."""


class Sealer:
    """Seals the parts of one file."""

    def __init__(self, key: bytes) -> None:
        """Make a sealer; `key` holds 32 bytes that are used for this file only."""
        self._cipher = AESGCM(key)

    def seal(self, number: int, data: bytes, label: bytes) -> bytes:
        """Encrypt and authenticate.

        Args:
            number: 0 or more, never the same twice in a file.
            data: what to hide.
            label: bound to the result without being in it; `unseal` needs the same.
        """
        return self._cipher.encrypt(number.to_bytes(12, "big"), data, label)

    def unseal(self, number: int, sealed: bytes, label: bytes) -> bytes:
        """Undo `seal`.

        Raises:
            Damaged: the bytes, the number or the label are not those of `seal`.
        """
        try:
            return self._cipher.decrypt(number.to_bytes(12, "big"), sealed, label)
        except InvalidTag:
            raise Damaged("the seal does not fit") from None


class DataKey:
    """A data key of the node."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes."""
        assert len(key) == 32
        self._key = key
        self.id = hashlib.sha256(b"stackyard data key id" + key).digest()[:KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"DataKey(id={self.id.hex()})"

    @property
    def secret(self) -> bytes:
        """The key itself, to be kept."""
        return self._key

    def sealer(self, salt: bytes, purpose: bytes) -> Sealer:
        """Derive the key of one file.

        Args:
            salt: `SALT_BYTES` random bytes, kept in the file.
            purpose: kind of file, so that one cannot be passed off as another.
        """
        derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(self._key)
        return Sealer(derived)


def new_salt() -> bytes:
    """Return a fresh salt for a file."""
    return os.urandom(SALT_BYTES)
