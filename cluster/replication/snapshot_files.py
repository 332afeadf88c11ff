"""Snapshots on disk: one sealed file each, put in place as a whole, the last two kept.

A file is a header and then frames, each a length, a checksum and a sealed chunk. The first frame
describes the snapshot; the last one is marked as the last inside the seal, so that a file that
was cut short is never taken for a whole one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from cluster.errors import FatalStorageError
from cluster.raft.entry import Snapshot
from cluster.replication.data_keys import DataKeys
from cluster.replication.durable_files import (
    fatal_errors,
    make_directory,
    remove_leftovers,
    sync_directory,
    write_atomically,
)
from cluster.replication.sealing import Damaged, Sealer, new_salt

KEPT: Final = 2
_MAGIC: Final = b"SYSNAP01"
_HEADER: Final = struct.Struct("<8s16s8s")  # magic, salt, key ID
_FRAME: Final = struct.Struct("<II")  # length, CRC-32 of the sealed chunk
_CHUNK_BYTES: Final = 1 << 20
_DESCRIPTION, _MORE, _LAST = b"description", b"more", b"last"

_describe = msgspec.msgpack.Encoder().encode
_read_description = msgspec.msgpack.Decoder(Snapshot).decode


class SnapshotFiles:
    """The snapshots of one node."""

    def __init__(self, directory: Path, keys: DataKeys) -> None:
        """Use `directory`, which is made if need be."""
        self._directory = directory
        self._keys = keys
        make_directory(directory)
        remove_leftovers(directory)

    def save(self, snapshot: Snapshot, data: bytes) -> None:
        """Write a snapshot; when this returns, it survives a power cut.

        Raises:
            FatalStorageError: the disk failed.
        """
        write_atomically(self._path(snapshot), self._frames(snapshot, data))

    def load(self, snapshot: Snapshot) -> bytes:
        """Return the state of a snapshot.

        Raises:
            FatalStorageError: it is missing or damaged.
        """
        found, data = self._read(self._path(snapshot))
        assert found == snapshot
        return data

    def newest_first(self) -> Iterator[tuple[Snapshot, bytes] | FatalStorageError]:
        """Read the snapshots from the newest to the oldest, an error for a damaged one."""
        for path in reversed(self._paths()):
            try:
                yield self._read(path)
            except FatalStorageError as error:
                yield error

    def oldest_index(self) -> int:
        """Return the index of the oldest snapshot: the log behind it is still needed."""
        paths = self._paths()
        return _index_of(paths[0]) if paths else 0

    def key_ids(self) -> set[bytes]:
        """Return the IDs of the data keys that the snapshots need."""
        found = set()
        for path in self._paths():
            with fatal_errors("read", path), path.open("rb") as file:
                header = file.read(_HEADER.size)
            if len(header) == _HEADER.size:
                found.add(bytes(_HEADER.unpack(header)[2]))
        return found

    def prune(self) -> None:
        """Remove all but the newest `KEPT` snapshots."""
        superfluous = self._paths()[:-KEPT]
        with fatal_errors("remove an old snapshot", self._directory):
            for path in superfluous:
                path.unlink()
        if superfluous:
            sync_directory(self._directory)

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob("*.snapshot"))

    def _path(self, snapshot: Snapshot) -> Path:
        return self._directory / f"{snapshot.index:020d}-{snapshot.term:020d}.snapshot"

    def _frames(self, snapshot: Snapshot, data: bytes) -> Iterator[bytes]:
        salt = new_salt()
        key = self._keys.current
        sealer = key.sealer(salt, _MAGIC)
        yield _HEADER.pack(_MAGIC, salt, key.id)
        yield _frame(sealer.seal(0, _describe(snapshot), _DESCRIPTION))
        count = max(1, -(-len(data) // _CHUNK_BYTES))
        for number in range(1, count + 1):
            chunk = data[(number - 1) * _CHUNK_BYTES : number * _CHUNK_BYTES]
            yield _frame(sealer.seal(number, chunk, _LAST if number == count else _MORE))

    def _read(self, path: Path) -> tuple[Snapshot, bytes]:
        with fatal_errors("read", path):
            content = path.read_bytes()
        try:
            sealer = self._open_header(path, content)
            return _read_frames(sealer, content)
        except (Damaged, struct.error, msgspec.DecodeError) as error:
            raise FatalStorageError(
                f"{path}: the snapshot is damaged ({error}); restore the file from a backup"
            ) from error

    def _open_header(self, path: Path, content: bytes) -> Sealer:
        magic, salt, key_id = _HEADER.unpack_from(content)
        if magic != _MAGIC:
            raise Damaged("not a snapshot of this version")
        key = self._keys.find(key_id)
        if key is None:
            raise self._keys.unknown(path, key_id)
        return key.sealer(salt, _MAGIC)


def _read_frames(sealer: Sealer, content: bytes) -> tuple[Snapshot, bytes]:
    offset = _HEADER.size
    chunks: list[bytes] = []
    snapshot: Snapshot | None = None
    number = 0
    while True:
        length, checksum = _FRAME.unpack_from(content, offset)
        start = offset + _FRAME.size
        sealed = content[start : start + length]
        if len(sealed) != length or zlib.crc32(sealed) != checksum:
            raise Damaged(f"the checksum does not match at offset {offset}")
        offset = start + length
        is_last = offset == len(content)
        if number == 0:
            snapshot = _read_description(sealer.unseal(0, sealed, _DESCRIPTION))
        else:
            chunks.append(sealer.unseal(number, sealed, _LAST if is_last else _MORE))
            if is_last:
                assert snapshot is not None
                return snapshot, b"".join(chunks)
        number += 1


def _frame(sealed: bytes) -> bytes:
    return _FRAME.pack(len(sealed), zlib.crc32(sealed)) + sealed


def _index_of(path: Path) -> int:
    return int(path.name.partition("-")[0])
