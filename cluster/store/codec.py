"""Bytes of log entries and snapshots.

Both begin with one byte, the format's number.  The body is MessagePack, and members that are absent
take their defaults, so that what older versions wrote is read.  What a newer one wrote is not: it
may hold members that this one would pass over, and managers would differ in what they know.  So the
number is raised with the first member or kind of object that a release adds.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cluster.model.objects import StoredObject
from cluster.model.spec_struct import ObjectStruct
from cluster.store.change import Change, Created, LogEntry
from cluster.store.state import ClusterState

FORMAT: Final = 1
"""The newest that is known, and the one that is written; all from 1 are read."""


class NewerFormat(ValueError):
    """The bytes may hold what this version would pass over."""


class _Snapshot(ObjectStruct, frozen=True, kw_only=True, gc=False):
    revision: int
    objects: tuple[StoredObject, ...]


_encoder = msgspec.msgpack.Encoder()
_entry_decoder = msgspec.msgpack.Decoder(LogEntry)
_snapshot_decoder = msgspec.msgpack.Decoder(_Snapshot)


def encode_entry(changes: tuple[Change, ...]) -> bytes:
    """Return the bytes of one log entry."""
    return bytes((FORMAT,)) + _encoder.encode(LogEntry(changes=changes))


def decode_entry(data: bytes) -> tuple[Change, ...]:
    """Return the changes of one log entry.

    Raises:
        NewerFormat: a newer version wrote the bytes.
        ValueError: they are damaged.
    """
    return _entry_decoder.decode(_body(data)).changes


def encode_snapshot(state: ClusterState) -> bytes:
    """Return the bytes of the whole state."""
    snapshot = _Snapshot(revision=state.revision, objects=tuple(state.everything()))
    return bytes((FORMAT,)) + _encoder.encode(snapshot)


def decode_snapshot(data: bytes) -> ClusterState:
    """Return the state a snapshot holds.

    Raises:
        NewerFormat: a newer version wrote the bytes.
        ValueError: they are damaged.
    """
    snapshot = _snapshot_decoder.decode(_body(data))
    changes = (Created(item) for item in snapshot.objects)
    return ClusterState().preview(changes, snapshot.revision)


def _body(data: bytes) -> bytes:
    if not data or not data[0]:
        raise ValueError("stored without a format: it is damaged")
    if data[0] > FORMAT:
        raise NewerFormat(
            f"a newer stackd has written it, in format {data[0]}; this one reads up to {FORMAT}: "
            "upgrade stackd on this host"
        )
    return data[1:]
