"""The log on disk ("write-ahead log"): numbered segment files of sealed, checksummed records.

Every call of `append` writes one *batch* and syncs it before it returns. Records know the number
of their batch and whether they end it, which settles what a bad record means at the next start:

* A batch is written only after the one before it was synced. So when records of a later batch
  are intact, the bad one had been durable once: something damaged it, and acknowledged entries
  may be lost. The log refuses to open.
* Otherwise, in the last segment, the write was cut off by a crash. Nothing in that batch was
  acknowledged; the whole batch is dropped, so the node comes back in a state it really was in.

A segment is preallocated, so that a sync has no metadata to write. It begins with a copy of the
hard state and the newest snapshot's place, so that older segments can be removed. Opening always
starts a new segment: an old one is never written again, and so no nonce is used twice.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

import msgspec

from cluster.errors import FatalStorageError
from cluster.raft.entry import Entry, HardState, Snapshot
from cluster.replication.data_keys import DataKeys
from cluster.replication.durable_files import (
    TEMPORARY_SUFFIX,
    fatal_errors,
    make_directory,
    read_written,
    remove_leftovers,
    sync_directory,
)
from cluster.replication.sealing import Damaged, Sealer, new_salt

DEFAULT_SEGMENT_BYTES: Final = 64 << 20
_MAGIC: Final = b"SYWAL001"
_HEADER: Final = struct.Struct("<8sQ16s8sI20x")  # magic, sequence, salt, key ID, CRC-32
_RECORD: Final = struct.Struct("<IIIBB2x")  # payload length, CRC-32, batch, kind, ends the batch
_ALIGNMENT: Final = 8


class Kind(IntEnum):
    """What a record holds."""

    ENTRY = 1
    HARD_STATE = 2
    SNAPSHOT = 3


_KINDS: Final = frozenset(kind.value for kind in Kind)
_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_decode_hard = msgspec.msgpack.Decoder(HardState).decode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


@dataclass
class LogContent:
    """What the log holds.

    Attributes:
        hard: the last hard state.
        snapshot: place of the newest snapshot that was noted; its index is 0 before the first.
        base_index: the entry before the first of `entries`.
        base_term: its term, None when that is not known any more.
        entries: consecutive entries.
    """

    hard: HardState = HardState()  # noqa: RUF009 - it is frozen
    snapshot: Snapshot = Snapshot()  # noqa: RUF009 - it is frozen
    base_index: int = 0
    base_term: int | None = 0
    entries: list[Entry] = field(default_factory=list)

    @property
    def last_index(self) -> int:
        """Index of the last entry."""
        return self.base_index + len(self.entries)

    def term_at(self, index: int) -> int | None:
        """Return the term of an entry, None when it is not here."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self.entries[index - self.base_index - 1].term
        return None

    def add_entry(self, entry: Entry) -> None:
        """Put an entry at its place; what was there and behind it was replaced by a leader."""
        if entry.index > self.last_index + 1:
            if self.entries:
                raise Damaged(f"entry {entry.index} follows entry {self.last_index}")
            # The segments with the entries in between are removed: a snapshot contains them.
            self.base_index, self.base_term = entry.index - 1, None
        if entry.index <= self.base_index:
            raise Damaged(f"entry {entry.index} lies before the log's start {self.base_index + 1}")
        del self.entries[entry.index - self.base_index - 1 :]
        self.entries.append(entry)

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Note a snapshot; one that does not fit the entries came from a leader, in their place."""
        self.snapshot = snapshot
        if snapshot.index > self.base_index and self.term_at(snapshot.index) != snapshot.term:
            self.base_index, self.base_term = snapshot.index, snapshot.term
            self.entries.clear()

    def after(self, snapshot: Snapshot) -> list[Entry] | None:
        """Return the entries that follow a snapshot, None when some of them are missing."""
        if snapshot.index < self.base_index:
            return None
        term = self.term_at(snapshot.index)
        if snapshot.index == self.base_index and term is None:
            return list(self.entries)
        if term != snapshot.term:
            return []  # it came from a leader, and the crash came before it was noted here
        return self.entries[snapshot.index - self.base_index :]


@dataclass(frozen=True)
class _Closed:
    """A segment that is not written any more."""

    path: Path
    sequence: int
    highest_index: int
    key_id: bytes


class WriteAheadLog:
    """The log on disk of one node. Calls block; one thread at a time may make them."""

    def __init__(
        self, directory: Path, keys: DataKeys, *, segment_bytes: int = DEFAULT_SEGMENT_BYTES
    ) -> None:
        """Open the log, repair a torn end and start a new segment.

        Args:
            directory: made if need be.
            keys: seal the records.
            segment_bytes: size of a segment; a batch that is larger gets a segment to itself.

        Raises:
            FatalStorageError: a file is damaged (it names file and offset) or the disk failed.
        """
        self._directory = directory
        self._keys = keys
        self._segment_bytes = segment_bytes
        self._closed: list[_Closed] = []
        self._failure: str | None = None
        # The segment being written.
        self._path = directory
        self._descriptor = -1
        self._sequence = 0
        self._end = 0
        self._batch_number = 1
        self._highest_index = 0
        make_directory(directory)
        remove_leftovers(directory)
        self.content = self._recover()
        self._hard = self.content.hard
        self._snapshot = self.content.snapshot
        self._start_segment()

    def append(
        self,
        entries: Sequence[Entry],
        hard: HardState | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Write one batch and sync it.

        Args:
            entries: the first may lie below the log's end: it replaces what is from there on.
            hard: the hard state, when it changed.
            snapshot: a snapshot whose file is durable; it comes before the entries.

        Raises:
            FatalStorageError: the disk failed, now or earlier. The process must stop: what is
                on the disk is known only after reading it again.
        """
        if self._failure is not None:
            raise FatalStorageError(self._failure)
        records = _records(entries, hard, snapshot)
        try:
            if self._end + _estimate(records) > self._segment_bytes and self._batch_number > 2:
                self._close_segment()
                self._start_segment()
            data = self._batch(records)
            with fatal_errors("write", self._path):
                _pwrite_all(self._descriptor, data, self._end)
            with fatal_errors("sync", self._path):
                os.fdatasync(self._descriptor)
        except FatalStorageError as error:
            self._failure = str(error)
            raise
        self._end += len(data)
        self._batch_number += 1
        # Only now: the head of a segment must not speak of what is not durable yet.
        self._hard = self._hard if hard is None else hard
        self._snapshot = self._snapshot if snapshot is None else snapshot
        if entries:
            self._highest_index = max(self._highest_index, entries[-1].index)

    def remove_before(self, index: int) -> None:
        """Remove the segments that hold no entry above `index`.

        Args:
            index: of the oldest snapshot a restart may have to start from.
        """
        while self._closed and self._closed[0].highest_index <= index:
            with fatal_errors("remove", self._closed[0].path):
                self._closed[0].path.unlink()
            # One by one, oldest first: a crash in between must not leave a gap.
            sync_directory(self._directory)
            del self._closed[0]

    def change_key(self) -> None:
        """Write with the newest key from now on, in a new segment.

        Raises:
            FatalStorageError: the disk failed, now or earlier.
        """
        if self._failure is not None:
            raise FatalStorageError(self._failure)
        try:
            self._close_segment()
            self._start_segment()
        except FatalStorageError as error:
            self._failure = str(error)
            raise

    def key_ids(self) -> set[bytes]:
        """Return the IDs of the data keys that the segments need."""
        return {self._key_id, *(segment.key_id for segment in self._closed)}

    def close(self) -> None:
        """Close the file; everything is durable already."""
        os.close(self._descriptor)

    # -- writing -----------------------------------------------------------------------------

    def _start_segment(self) -> None:
        """Create the next segment: under a temporary name until it is whole and durable."""
        self._sequence = self._closed[-1].sequence + 1 if self._closed else 1
        self._path = self._directory / f"{self._sequence:020d}.wal"
        salt = new_salt()
        self._key_id = self._keys.current.id
        self._sealer = self._keys.current.sealer(salt, _MAGIC)
        self._checksum_seed = zlib.crc32(salt)
        self._batch_number = 1
        self._highest_index = 0
        header = _header(self._sequence, salt, self._key_id)
        self._end = len(header)
        head = self._batch(_records((), self._hard, self._snapshot))
        temporary = self._path.with_name(self._path.name + TEMPORARY_SUFFIX)
        with fatal_errors("create", temporary):
            self._descriptor = os.open(
                temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
            )
            os.posix_fallocate(self._descriptor, 0, max(self._segment_bytes, self._end + len(head)))
            _pwrite_all(self._descriptor, header + head, 0)
            os.fsync(self._descriptor)
            temporary.rename(self._path)
        sync_directory(self._directory)
        self._end += len(head)
        self._batch_number = 2

    def _close_segment(self) -> None:
        with fatal_errors("finish", self._path):
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
            os.close(self._descriptor)
        self._closed.append(_Closed(self._path, self._sequence, self._highest_index, self._key_id))

    def _batch(self, records: list[tuple[Kind, bytes]]) -> bytes:
        """Return the bytes of a batch that begins at the segment's end."""
        parts: list[bytes] = []
        offset = self._end
        for position, (kind, plain) in enumerate(records, start=1):
            ends_batch = position == len(records)
            label = _label(kind, self._batch_number, ends_batch=ends_batch)
            sealed = self._sealer.seal(offset, plain, label)
            padding = -(_RECORD.size + len(sealed)) % _ALIGNMENT
            header = _RECORD.pack(len(sealed), 0, self._batch_number, kind, ends_batch)
            checksum = zlib.crc32(sealed, zlib.crc32(header, self._checksum_seed))
            header = _RECORD.pack(len(sealed), checksum, self._batch_number, kind, ends_batch)
            parts += (header, sealed, bytes(padding))
            offset += _RECORD.size + len(sealed) + padding
        return b"".join(parts)

    # -- recovery ----------------------------------------------------------------------------

    def _recover(self) -> LogContent:
        content = LogContent()
        paths = sorted(self._directory.glob("*.wal"))
        sequences = [int(path.stem) for path in paths]
        for before, sequence in itertools.pairwise(sequences):
            if sequence != before + 1:
                raise FatalStorageError(
                    f"{self._directory}: segment {before + 1:020d}.wal is missing; "
                    "restore it from a backup"
                )
        for path, sequence in zip(paths, sequences, strict=True):
            reader = _SegmentReader(path, sequence, self._keys)
            end = reader.replay(content, is_last=path == paths[-1])
            if path == paths[-1]:
                self._repair(path, end)
                if reader.batches == 1 and len(paths) > 1:
                    # Only the copied head: the number can be used again, under another key.
                    with fatal_errors("remove", path):
                        path.unlink()
                    sync_directory(self._directory)
                    continue
            self._closed.append(_Closed(path, sequence, reader.highest_index, reader.key_id))
        return content

    def _repair(self, path: Path, end: int) -> None:
        """Cut off what a crash left behind the last whole batch."""
        with fatal_errors("repair", path):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.ftruncate(descriptor, end)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class _SegmentReader:
    """Reads one segment file."""

    def __init__(self, path: Path, sequence: int, keys: DataKeys) -> None:
        self._path = path
        self.highest_index = 0
        self.batches = 0
        with fatal_errors("read", path):
            self._data = read_written(path)
        salt, self.key_id = self._check_header(sequence)
        key = keys.find(self.key_id)
        if key is None:
            raise keys.unknown(path, self.key_id)
        self._sealer: Sealer = key.sealer(salt, _MAGIC)
        self._checksum_seed = zlib.crc32(salt)

    def replay(self, content: LogContent, *, is_last: bool) -> int:
        """Add the segment's whole batches to `content`; return where they end."""
        end = _HEADER.size
        batch: list[tuple[int, Kind, bytes]] = []
        for offset, kind, ends_batch, payload in self._records():
            batch.append((offset, kind, payload))
            if ends_batch:
                for record in batch:
                    self._add(content, *record)
                batch.clear()
                self.batches += 1
                end = offset + _size_of(payload)
        bad_at = end + sum(_size_of(payload) for _, _, payload in batch)
        is_clean = not batch and not self._data[bad_at:].strip(b"\0")
        if is_clean:
            return end
        if not is_last:
            raise self._damaged(bad_at, "a record is damaged, but later segments follow it")
        # The bad record is in the open batch, or begins the next one when none is open.
        torn_batch = self.batches + 1
        later = self._intact_record_after(bad_at, torn_batch)
        if later is not None or self.batches == 0:
            why = "a record is damaged"
            if later is not None:
                why += f", but later ones (at offset {later}) are intact"
            raise self._damaged(bad_at, why)
        return end

    def _records(self) -> Iterator[tuple[int, Kind, bool, bytes]]:
        """Yield (offset, kind, ends the batch, sealed payload) up to the first bad record."""
        offset, batch, starts_batch = _HEADER.size, 1, False
        while True:
            record = self._record_at(offset)
            if record is None:
                return
            number, kind, ends_batch, payload = record
            if number != batch + starts_batch:
                return
            yield offset, kind, ends_batch, payload
            batch, starts_batch = number, ends_batch
            offset += _size_of(payload)

    def _record_at(self, offset: int) -> tuple[int, Kind, bool, bytes] | None:
        """Return (batch, kind, ends the batch, payload), None when no intact record is there."""
        start = offset + _RECORD.size
        if start > len(self._data):
            return None
        length, checksum, batch, kind, ends_batch = _RECORD.unpack_from(self._data, offset)
        if kind not in _KINDS or ends_batch > 1 or length == 0:
            return None
        payload = self._data[start : start + length]
        header = _RECORD.pack(length, 0, batch, kind, ends_batch)
        found = zlib.crc32(payload, zlib.crc32(header, self._checksum_seed))
        if len(payload) != length or found != checksum:
            return None
        return batch, Kind(kind), bool(ends_batch), payload

    def _intact_record_after(self, offset: int, batch: int) -> int | None:
        """Return the offset of an intact record of a later batch than `batch`."""
        last = len(self._data.rstrip(b"\0"))
        for place in range(offset - offset % _ALIGNMENT, last, _ALIGNMENT):
            record = self._record_at(place)
            if record is not None and record[0] > batch:
                return place
        return None

    def _add(self, content: LogContent, offset: int, kind: Kind, payload: bytes) -> None:
        _, _, batch, _, ends_batch = _RECORD.unpack_from(self._data, offset)
        try:
            label = _label(kind, batch, ends_batch=bool(ends_batch))
            plain = self._sealer.unseal(offset, payload, label)
            match kind:
                case Kind.ENTRY:
                    entry = _decode_entry(plain)
                    content.add_entry(entry)
                    self.highest_index = max(self.highest_index, entry.index)
                case Kind.HARD_STATE:
                    content.hard = _decode_hard(plain)
                case Kind.SNAPSHOT:
                    content.add_snapshot(_decode_snapshot(plain))
        except (Damaged, msgspec.DecodeError) as error:
            raise self._damaged(offset, str(error)) from error

    def _check_header(self, sequence: int) -> tuple[bytes, bytes]:
        """Return the segment's salt and the ID of its data key."""
        if len(self._data) < _HEADER.size:
            raise self._damaged(0, "the file ends within its header")
        magic, found_sequence, salt, key_id, _ = _HEADER.unpack_from(self._data)
        if magic != _MAGIC:
            raise self._damaged(0, "not a log segment of this version")
        if self._data[: _HEADER.size] != _header(found_sequence, salt, key_id):
            raise self._damaged(0, "the header's checksum does not match")
        if found_sequence != sequence:
            raise self._damaged(0, f"this is segment {found_sequence}, under another name")
        return bytes(salt), bytes(key_id)

    def _damaged(self, offset: int, why: str) -> FatalStorageError:
        return FatalStorageError(
            f"{self._path}: offset {offset}: {why}; acknowledged changes may be lost: "
            "restore the directory from a backup, or remove it and join the cluster anew"
        )


def _records(
    entries: Sequence[Entry], hard: HardState | None, snapshot: Snapshot | None
) -> list[tuple[Kind, bytes]]:
    """Return the records of a batch: entries before the hard state that speaks of them."""
    records: list[tuple[Kind, bytes]] = []
    if snapshot is not None:
        records.append((Kind.SNAPSHOT, _encode(snapshot)))
    records += [(Kind.ENTRY, _encode(entry)) for entry in entries]
    if hard is not None:
        records.append((Kind.HARD_STATE, _encode(hard)))
    assert records, "an empty batch"
    return records


def _estimate(records: list[tuple[Kind, bytes]]) -> int:
    """Return at least the number of bytes the records take on disk."""
    sealed_extra = 16
    return sum(len(plain) + sealed_extra + _RECORD.size + _ALIGNMENT for _, plain in records)


def _header(sequence: int, salt: bytes, key_id: bytes) -> bytes:
    unchecked = _HEADER.pack(_MAGIC, sequence, salt, key_id, 0)
    return _HEADER.pack(_MAGIC, sequence, salt, key_id, zlib.crc32(unchecked))


def _label(kind: Kind, batch: int, *, ends_batch: bool) -> bytes:
    return struct.pack("<BI?", kind, batch, ends_batch)


def _size_of(payload: bytes) -> int:
    size = _RECORD.size + len(payload)
    return size + -size % _ALIGNMENT


def _pwrite_all(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest = rest[written:]
        offset += written
