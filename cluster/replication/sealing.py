"""Encryption at rest: AES-256-GCM with one data key a node.

The data key never encrypts anything itself. Every file has a salt of its own, from which a key
for this one file is derived (HKDF, RFC 5869), so the nonces inside a file can simply count: a
pair of key and nonce is never used twice, not even after a restored backup of the directory.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.errors import FatalStorageError
from cluster.replication.durable_files import fatal_errors, write_atomically

SALT_BYTES: Final = 16
KEY_ID_BYTES: Final = 8
_FORMAT: Final = "stackyard-data-key 1"


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
    """The node's data key."""

    __slots__ = ("_key", "id")

    def __init__(self, key: bytes) -> None:
        """Take a key of 32 bytes."""
        assert len(key) == 32
        self._key = key
        self.id = hashlib.sha256(b"stackyard data key id" + key).digest()[:KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"DataKey(id={self.id.hex()})"

    @classmethod
    def create(cls, path: Path) -> DataKey:
        """Make a new key and keep it in a file of mode 0600, put there as a whole."""
        key = secrets.token_bytes(32)
        write_atomically(path, [f"{_FORMAT}\n{base64.b64encode(key).decode()}\n".encode()])
        return cls(key)

    @classmethod
    def load(cls, path: Path) -> DataKey:
        """Read the key back.

        Raises:
            FatalStorageError: the file is missing, damaged or readable by others.
        """
        with fatal_errors("read the data key", path):
            mode = path.stat().st_mode & 0o777
            text = path.read_text(errors="replace")
        if mode & 0o077:
            raise FatalStorageError(
                f"{path}: mode {mode:o} lets others read the data key; run: chmod 600 {path}"
            )
        first, _, rest = text.partition("\n")
        try:
            key = base64.b64decode(rest.strip(), validate=True)
        except binascii.Error:
            key = b""
        if first != _FORMAT or len(key) != 32:
            raise FatalStorageError(
                f"{path}: not a data key of this version; restore the file from a backup"
            )
        return cls(key)

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
