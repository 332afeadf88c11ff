"""Bytes of log entries and snapshots.

Both begin with one byte, the format's version.  The body is MessagePack; unknown members are
ignored and absent ones take their defaults, so that versions which only add members read each
other's files.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cluster.model.objects import StoredObject
from cluster.model.spec_struct import ObjectStruct
from cluster.store.change import Change, Created, LogEntry
from cluster.store.state import ClusterState

FORMAT: Final = b"\x01"


class _Snapshot(ObjectStruct, frozen=True, kw_only=True, gc=False):
    revision: int
    objects: tuple[StoredObject, ...]


_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(LogEntry)
_snapshot_decoder = msgspec.msgpack.Decoder(_Snapshot)


def encode_entry(changes: tuple[Change, ...]) -> bytes:
    """Return the bytes of one log entry."""
    return FORMAT + _encoder.encode(LogEntry(changes=changes))


def decode_entry(data: bytes) -> tuple[Change, ...]:
    """Return the changes of one log entry.

    Raises:
        ValueError: the bytes are of a format this version does not know, or damaged.
    """
    return _entry_decoder.decode(_body(data)).changes


def encode_snapshot(state: ClusterState) -> bytes:
    """Return the bytes of the whole state."""
    snapshot = _Snapshot(revision=state.revision, objects=tuple(state.everything()))
    return FORMAT + _encoder.encode(snapshot)


def decode_snapshot(data: bytes) -> ClusterState:
    """Return the state a snapshot holds.

    Raises:
        ValueError: the bytes are of a format this version does not know, or damaged.
    """
    snapshot = _snapshot_decoder.decode(_body(data))
    changes = (Created(item) for item in snapshot.objects)
    return ClusterState().preview(changes, snapshot.revision)


def _body(data: bytes) -> bytes:
    if data[:1] != FORMAT:
        raise ValueError(
            f"stored format {data[:1].hex()} is not {FORMAT.hex()}: written by another version"
        )
    return data[1:]
