"""Everything durable of one raft member: its lock, its data key, its log and its snapshots.

<directory>/lock  data-key  log/*.wal  snapshots/*.snapshot
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from cluster.ca.node_lock import NodeLock
from cluster.errors import FailedPrecondition, FatalStorageError
from cluster.raft.entry import Entry, HardState, Snapshot
from cluster.replication.data_keys import DataKeys
from cluster.replication.durable_files import DirectoryLock, make_directory, remove_leftovers
from cluster.replication.snapshot_files import SnapshotFiles
from cluster.replication.wal import DEFAULT_SEGMENT_BYTES, LogContent, WriteAheadLog

log = structlog.get_logger()

_KEY_FILE: Final = "data-key"
_LOG: Final = "log"
_SNAPSHOTS: Final = "snapshots"


@dataclass(frozen=True)
class Recovered:
    """What a member starts from.

    Attributes:
        snapshot: the newest readable snapshot.
        data: its state.
        hard: the last hard state.
        entries: all entries behind the snapshot.
    """

    snapshot: Snapshot
    data: bytes
    hard: HardState
    entries: Sequence[Entry]


def holds_member(directory: Path) -> bool:
    """Say whether a directory holds a raft member, whole or damaged."""
    return any((directory / _SNAPSHOTS).glob("*.snapshot"))


class RaftStorage:
    """Open storage of one member. Calls block, and one thread at a time may make them.

    `save_snapshot` is the exception: it may run beside the others.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        lock: NodeLock | None = None,
    ) -> None:
        """Open and recover.

        Args:
            directory: holds a member that `create` made.
            segment_bytes: size of a log segment.
            lock: wraps the data keys.

        Raises:
            FailedPrecondition: no member is here, or another process uses it.
            FatalStorageError: something is damaged, or the disk failed.
        """
        if not holds_member(directory):
            raise FailedPrecondition(f"{directory}: holds no cluster state")
        self._is_closed = False
        self._key_file = directory / _KEY_FILE
        self._node_lock = lock
        self._lock = DirectoryLock(directory)
        try:
            self._keys = DataKeys.load(self._key_file, lock)
            self._snapshots = SnapshotFiles(directory / _SNAPSHOTS, self._keys)
            if not any((directory / _LOG).glob("*.wal")):
                raise FatalStorageError(
                    f"{directory / _LOG}: the log is missing while snapshots are there; "
                    "restore the directory from a backup, or remove it and join the cluster anew"
                )
            self._wal = WriteAheadLog(directory / _LOG, self._keys, segment_bytes=segment_bytes)
            self.recovered = self._recover(self._wal.content)
            if self._wal.content.snapshot != self.recovered.snapshot:
                self._wal.append((), snapshot=self.recovered.snapshot)
            self._drop_old()  # a stop may have come between a new snapshot and this
        except BaseException:
            self._lock.release()
            raise
        self._wal.content = LogContent()  # it is in `recovered` now

    @classmethod
    def create(
        cls,
        directory: Path,
        snapshot: Snapshot,
        data: bytes,
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        lock: NodeLock | None = None,
    ) -> RaftStorage:
        """Make a member that starts from a snapshot.

        The snapshot's file is written last, so that a crash leaves a whole member or none.

        Raises:
            FailedPrecondition: a member is here already, or another process uses the directory.
            FatalStorageError: the disk failed.
        """
        make_directory(directory)
        with DirectoryLock(directory):
            if holds_member(directory):
                raise FailedPrecondition(
                    f"{directory}: holds the state of a cluster already; leave that one first"
                )
            for leftover in (directory / _LOG).glob("*"):  # of a creation that was cut off
                leftover.unlink()
            remove_leftovers(directory)
            keys = DataKeys.create(directory / _KEY_FILE, lock)
            wal = WriteAheadLog(directory / _LOG, keys, segment_bytes=segment_bytes)
            wal.append((), HardState(snapshot.term, 0, snapshot.index), snapshot)
            wal.close()
            SnapshotFiles(directory / _SNAPSHOTS, keys).save(snapshot, data)
        return cls(directory, segment_bytes=segment_bytes, lock=lock)

    def persist(
        self,
        entries: Sequence[Entry] = (),
        hard: HardState | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Make a batch durable; see `WriteAheadLog.append`."""
        self._wal.append(entries, hard, snapshot)
        if snapshot is not None:
            self._drop_old()

    def wrap_keys(self, *, with_new: bool) -> None:
        """Write the data keys as the node's lock says; `with_new`, go on with a fresh one.

        What is sealed with the former ones stays readable; they are dropped with the last file
        that needs them.

        Raises:
            FatalStorageError: the disk failed.
        """
        if with_new:
            self._keys.add_new()
        self._keys.save(self._key_file, self._node_lock)
        if with_new:
            self._wal.change_key()

    def save_snapshot(self, snapshot: Snapshot, data: bytes) -> None:
        """Make the file of a snapshot durable; `persist` must note it before it counts."""
        self._snapshots.save(snapshot, data)

    def load_snapshot(self, snapshot: Snapshot) -> bytes:
        """Return the state of a snapshot.

        Raises:
            FatalStorageError: it is missing or damaged.
        """
        return self._snapshots.load(snapshot)

    def close(self) -> None:
        """Close the log and let other processes in; closing again does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._wal.close()
            self._lock.release()

    def _drop_old(self) -> None:
        """Remove old snapshots and the segments that even the oldest kept one contains."""
        self._snapshots.prune()
        self._wal.remove_before(self._snapshots.oldest_index())
        if len(self._keys.ids) > 1:
            needed = self._wal.key_ids() | self._snapshots.key_ids()
            if self._keys.retain(needed):
                self._keys.save(self._key_file, self._node_lock)

    def _recover(self, content: LogContent) -> Recovered:
        """Pair the newest readable snapshot with the entries behind it."""
        first_error: FatalStorageError | None = None
        for found in self._snapshots.newest_first():
            if isinstance(found, FatalStorageError):
                log.error("snapshot unreadable", error=str(found))
                first_error = first_error or found
                continue
            snapshot, data = found
            entries = content.after(snapshot)
            if entries is None:
                first_error = first_error or FatalStorageError(
                    f"the log begins at entry {content.base_index + 1}, but the newest snapshot "
                    f"ends at entry {snapshot.index}; restore the directory from a backup"
                )
                continue
            last = snapshot.index + len(entries)
            if content.hard.commit > last:
                first_error = first_error or FatalStorageError(
                    f"entry {content.hard.commit} is committed, but the log ends at entry {last}; "
                    "restore the directory from a backup"
                )
                continue
            return Recovered(snapshot, data, content.hard, entries)
        assert first_error is not None, "no snapshot"
        raise first_error
