"""The data keys of a node, on disk: the one to write with, and those that old files still need.

They lie in one file of mode 0600, wrapped by the node key while managers lock themselves
(`cluster.ca.node_lock`), otherwise in clear.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from cluster.ca.node_lock import NodeLock
from cluster.errors import FatalStorageError
from cluster.replication.durable_files import fatal_errors, write_atomically
from cluster.replication.sealing import DataKey

_CLEAR: Final = "stackyard-data-key 1"
_WRAPPED: Final = "stackyard-data-key 1 wrapped"
_PURPOSE: Final = b"data keys"
_KEY_BYTES: Final = 32


class DataKeys:
    """The keys, newest first."""

    def __init__(self, keys: Sequence[DataKey]) -> None:
        """Take the keys, at least one."""
        assert keys
        self._keys = tuple(keys)

    @classmethod
    def create(cls, path: Path, lock: NodeLock | None = None) -> DataKeys:
        """Make a first key and keep it in a file."""
        made = cls([_new_key()])
        made.save(path, lock)
        return made

    @classmethod
    def load(cls, path: Path, lock: NodeLock | None = None) -> DataKeys:
        """Read the keys back.

        Raises:
            FatalStorageError: the file is missing, damaged, readable by others, or wrapped with a
                key that `lock` does not have.
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
            content: bytes | None = base64.b64decode(rest.strip(), validate=True)
        except binascii.Error:
            content = None
        if first == _WRAPPED and content is not None:
            content = lock.unwrap(content, _PURPOSE) if lock else None
            if content is None:
                raise FatalStorageError(
                    f"{path}: the node key does not open it; put back a copy of both files"
                )
        elif first != _CLEAR:
            content = None
        if not content or len(content) % _KEY_BYTES:
            raise FatalStorageError(
                f"{path}: not a data key of this version; restore the file from a backup"
            )
        return cls(
            [DataKey(content[at : at + _KEY_BYTES]) for at in range(0, len(content), _KEY_BYTES)]
        )

    def save(self, path: Path, lock: NodeLock | None = None) -> None:
        """Put the keys in place of earlier ones, durably and all at once."""
        content = b"".join(key.secret for key in self._keys)
        wrapped = lock.wrap(content, _PURPOSE) if lock else None
        first = _CLEAR if wrapped is None else _WRAPPED
        body = base64.b64encode(content if wrapped is None else wrapped).decode()
        write_atomically(path, [f"{first}\n{body}\n".encode()])

    @property
    def current(self) -> DataKey:
        """The key to write with."""
        return self._keys[0]

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The keys' IDs, newest first."""
        return tuple(key.id for key in self._keys)

    def find(self, key_id: bytes) -> DataKey | None:
        """Return the key of that ID."""
        return next((key for key in self._keys if key.id == key_id), None)

    def add_new(self) -> None:
        """Write with a fresh key from now on; to be saved before it is used."""
        self._keys = (_new_key(), *self._keys)

    def retain(self, needed: Collection[bytes]) -> bool:
        """Drop all keys but the current one and the needed; return whether any was dropped."""
        kept = tuple(key for key in self._keys if key is self.current or key.id in needed)
        dropped = len(kept) < len(self._keys)
        self._keys = kept
        return dropped

    def unknown(self, path: Path, key_id: bytes) -> FatalStorageError:
        """Return the error for a file that is sealed with a key that is not here."""
        return FatalStorageError(
            f"{path}: sealed with data key {key_id.hex()}, but this node's is "
            f"{self.current.id.hex()}; put the right key file back"
        )


def _new_key() -> DataKey:
    return DataKey(secrets.token_bytes(_KEY_BYTES))
