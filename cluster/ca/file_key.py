"""A key by which a node seals a file of its own that is replaced as a whole, again and again."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cluster.ca.node_lock import NodeLock
from cluster.errors import FatalStorageError

_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE: Final = bytes(12)
_CLEAR: Final = b"clear   "
_WRAPPED: Final = b"wrapped "
_PURPOSE: Final = b"file key"


class FileKey:
    """The key, in a file of mode 0600, wrapped while the node locks itself.

    A key that cannot be read is replaced: what it has sealed is only a memory.
    """

    def __init__(self, path: Path, lock: NodeLock) -> None:
        """Read the key, or make one.

        Raises:
            FatalStorageError: the file cannot be read or written.
        """
        self._path = path
        self._lock = lock
        self._key = self._load()
        if not self._key:
            self._key = secrets.token_bytes(_KEY_BYTES)
            self.save()

    def seal(self, data: bytes) -> bytes:
        """Encrypt and authenticate."""
        salt = os.urandom(_SALT_BYTES)
        return salt + AESGCM(self._derived(salt)).encrypt(_NONCE, data, _PURPOSE)

    def unseal(self, sealed: bytes) -> bytes | None:
        """Undo `seal`; None if it was done with another key, or the bytes were changed."""
        salt, rest = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
        try:
            return AESGCM(self._derived(salt)).decrypt(_NONCE, rest, _PURPOSE)
        except InvalidTag:
            return None

    def save(self) -> None:
        """Write the key as the node's lock says.

        Raises:
            FatalStorageError: the file cannot be written.
        """
        wrapped = self._lock.wrap(self._key, _PURPOSE)
        content = _CLEAR + self._key if wrapped is None else _WRAPPED + wrapped
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be written: {error}") from error

    def _load(self) -> bytes:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be read: {error}") from error
        kind, body = content[: len(_CLEAR)], content[len(_CLEAR) :]
        key = self._lock.unwrap(body, _PURPOSE) if kind == _WRAPPED else body
        return key if key and len(key) == _KEY_BYTES else b""

    def _derived(self, salt: bytes) -> bytes:
        # A key of its own for each version of the file: no nonce is ever used twice.
        return HKDF(SHA256(), _KEY_BYTES, salt, b"stackyard file").derive(self._key)
