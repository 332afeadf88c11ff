"""A node's credentials on disk.

Key, certificate and root stand in one file, which is replaced by renaming: a crash at any moment
leaves either the old three or the new three, never a certificate beside another one's key.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from cluster.ca.chain import is_self_signed
from cluster.ca.credentials import (
    NodeCredentials,
    belong_together,
    decrypted_key,
    encrypted_key,
)
from cluster.ca.node_lock import NodeLock
from cluster.errors import FatalStorageError

FILE_NAME: Final = "node.pem"

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----\n.*?-----END \1-----\n", re.DOTALL)
_ENCRYPTED_KEY: Final = "ENCRYPTED PRIVATE KEY"
_KEYS: Final = ("PRIVATE KEY", _ENCRYPTED_KEY)
_CERTIFICATE: Final = "CERTIFICATE"


class KeyFiles:
    """The file ``node.pem`` in a folder, readable by its owner alone."""

    def __init__(self, folder: Path, lock: NodeLock | None = None) -> None:
        """Use `folder`, which is made when something is saved; `lock` wraps the key."""
        self._folder = folder
        self._lock = lock
        self._path = folder / FILE_NAME

    def save(self, credentials: NodeCredentials) -> None:
        """Put the credentials in place of earlier ones, durably and all at once.

        Raises:
            FatalStorageError: the folder cannot be written.
        """
        wrapping = self._lock.wrapping_key if self._lock else None
        key = credentials.key_pem
        if wrapping is not None:
            key = encrypted_key(key, wrapping)
        text = key + credentials.certificate_pem + credentials.root_ca_pem
        fresh = self._folder / (FILE_NAME + ".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._path)
            _sync_folder(self._folder)
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be written: {error}") from error

    def load(self) -> NodeCredentials | None:
        """Return the saved credentials, None if there are none.

        Raises:
            FatalStorageError: the file cannot be read, or does not hold what `save` wrote.
        """
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise FatalStorageError(f"{self._path}: cannot be read: {error}") from error
        blocks = list(_BLOCK.finditer(text))
        kinds = [block[1] for block in blocks]
        if len(kinds) < 3 or kinds[0] not in _KEYS or set(kinds[1:]) != {_CERTIFICATE}:
            raise self._damaged("it must hold a private key, a certificate and a root certificate")
        key, certificate, *others = (block[0] for block in blocks)
        try:
            if kinds[0] == _ENCRYPTED_KEY:
                key = self._decrypted(key)
            roots = [other for other in others if is_self_signed(other)]
            between = [other for other in others if other not in roots]
            credentials = NodeCredentials(
                key_pem=key,
                certificate_pem="".join((certificate, *between)),
                root_ca_pem="".join(roots),
            )
            fits = belong_together(credentials)
        except ValueError as error:
            raise self._damaged("a part of it is not readable as PEM") from error
        if not fits:
            raise self._damaged("its key, certificate and root do not belong together")
        return credentials

    def remove(self) -> None:
        """Delete the credentials; the node is then a member of nothing.

        Raises:
            FatalStorageError: the folder cannot be written.
        """
        try:
            self._path.unlink(missing_ok=True)
            (self._folder / (FILE_NAME + ".new")).unlink(missing_ok=True)
        except OSError as error:
            raise FatalStorageError(f"{self._path}: cannot be removed: {error}") from error

    def _decrypted(self, key_pem: str) -> str:
        for wrapping in self._lock.keys if self._lock else ():
            clear = decrypted_key(key_pem, wrapping)
            if clear is not None:
                return clear
        raise self._damaged("the node key does not open its private key")

    def _damaged(self, why: str) -> FatalStorageError:
        return FatalStorageError(
            f"{self._path}: {why}; put back a copy of the file, or leave the cluster and join again"
        )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
