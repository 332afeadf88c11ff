"""A copy of the cluster in one file, sealed with a passphrase.

    magic | length | header (JSON: when, of which cluster, how the key is derived) | CRC-32
    frames: length | sealed piece

The key is derived from the passphrase with scrypt (RFC 7914), so that guessing costs 64 MiB and a
fifth of a second a guess. The first frame seals nothing: it tells a wrong passphrase from a
damaged file. The last one is marked as the last inside the seal, so that a file that was cut
short is never taken for a whole one. The pieces are the store's snapshot, compressed.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cluster.errors import InvalidArgument, Unauthenticated
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import Timestamp
from cluster.replication.sealing import Damaged, Sealer, new_salt
from cluster.store.codec import NewerFormat, decode_snapshot, encode_snapshot
from cluster.store.state import ClusterState

SHORTEST_PASSPHRASE: Final = 8

_MAGIC: Final = b"SYBACKUP"
_LENGTH: Final = struct.Struct("<I")
_PIECE_BYTES: Final = 1 << 20
_LARGEST_HEADER: Final = 4096
_LARGEST_STATE: Final = 4 << 30
_COST: Final = 1 << 16
_LARGEST_COST: Final = 1 << 20
_CHECK, _MORE, _LAST = b"check", b"more", b"last"


class BackupHeader(ObjectStruct, frozen=True, kw_only=True):
    """What is known of a backup without its passphrase; `cost`, `salt` derive the key."""

    format: int = 1
    created_at: Timestamp = Timestamp(0)
    cluster_id: str = ""
    cost: int = _COST
    salt: bytes = b""


def seal_backup(state: ClusterState, passphrase: str, now: Timestamp) -> bytes:
    """Return the file; it takes a while, so not in the event loop.

    Raises:
        InvalidArgument: the passphrase is too short.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise InvalidArgument(
            f"the passphrase has {len(passphrase)} characters: take at least {SHORTEST_PASSPHRASE}"
        )
    cluster = state.cluster
    header = BackupHeader(created_at=now, cluster_id=cluster.id if cluster else "", salt=new_salt())
    encoded = msgspec.json.encode(header)
    sealer = _sealer(passphrase, header)
    head = _MAGIC + _LENGTH.pack(len(encoded)) + encoded
    parts = [head, _LENGTH.pack(zlib.crc32(head))]
    parts += _frames(sealer, hashlib.sha256(head).digest(), zlib.compress(encode_snapshot(state)))
    return b"".join(parts)


def open_backup(data: bytes, passphrase: str) -> ClusterState:
    """Return the state in a file; it takes a while, so not in the event loop.

    Raises:
        InvalidArgument: it is no backup, of another version, or damaged; the message says which.
        Unauthenticated: the passphrase is another.
    """
    header, head, offset = _read_header(data)
    sealer = _sealer(passphrase, header)
    digest = hashlib.sha256(head).digest()
    pieces = []
    try:
        for number, (sealed, is_last) in enumerate(_sealed_pieces(data, offset)):
            if number == 0:
                _check(sealer, sealed, digest)
            else:
                pieces.append(sealer.unseal(number, sealed, (_LAST if is_last else _MORE) + digest))
        if not pieces:
            raise Damaged("it ends before its contents")
        return decode_snapshot(_decompressed(b"".join(pieces)))
    except NewerFormat as error:
        raise InvalidArgument(f"the backup cannot be restored: {error}") from error
    except (Damaged, ValueError, zlib.error) as error:
        raise InvalidArgument(
            f"the backup is damaged or cut short ({error}); take another copy of it"
        ) from error


def _read_header(data: bytes) -> tuple[BackupHeader, bytes, int]:
    """Return the header, the bytes it stands in, and where the frames begin."""
    if data[: len(_MAGIC)] != _MAGIC:
        raise InvalidArgument("this is no backup of a cluster (it begins with other bytes)")
    try:
        [length] = _LENGTH.unpack_from(data, len(_MAGIC))
        if length > _LARGEST_HEADER:
            raise Damaged("its header is too long")
        end = len(_MAGIC) + _LENGTH.size + length
        [checksum] = _LENGTH.unpack_from(data, end)
        head = data[:end]
        if zlib.crc32(head) != checksum:
            raise Damaged("its header has changed")
        header = msgspec.json.decode(head[len(_MAGIC) + _LENGTH.size :], type=BackupHeader)
    except (struct.error, Damaged, msgspec.DecodeError) as error:
        raise InvalidArgument(
            f"the backup is damaged or cut short ({error}); take another copy of it"
        ) from error
    if header.format != 1 or not 2 <= header.cost <= _LARGEST_COST:
        raise InvalidArgument(f"the backup is of format {header.format}; this version reads 1")
    return header, head, end + _LENGTH.size


def _check(sealer: Sealer, sealed: bytes, digest: bytes) -> None:
    try:
        sealer.unseal(0, sealed, _CHECK + digest)
    except Damaged:
        raise Unauthenticated("the passphrase is not the one of this backup") from None


def _sealer(passphrase: str, header: BackupHeader) -> Sealer:
    return Sealer(
        Scrypt(salt=header.salt, length=32, n=header.cost, r=8, p=1).derive(passphrase.encode())
    )


def _frames(sealer: Sealer, digest: bytes, body: bytes) -> Iterator[bytes]:
    yield _frame(sealer.seal(0, b"", _CHECK + digest))
    count = max(1, -(-len(body) // _PIECE_BYTES))
    for number in range(1, count + 1):
        piece = body[(number - 1) * _PIECE_BYTES : number * _PIECE_BYTES]
        label = _LAST if number == count else _MORE
        yield _frame(sealer.seal(number, piece, label + digest))


def _frame(sealed: bytes) -> bytes:
    return _LENGTH.pack(len(sealed)) + sealed


def _sealed_pieces(data: bytes, offset: int) -> Iterator[tuple[bytes, bool]]:
    while offset < len(data):
        if len(data) - offset < _LENGTH.size:
            raise Damaged("it ends in the middle")
        [length] = _LENGTH.unpack_from(data, offset)
        start = offset + _LENGTH.size
        offset = start + length
        if offset > len(data):
            raise Damaged("it ends in the middle")
        yield data[start:offset], offset == len(data)


def _decompressed(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    state = inflater.decompress(body, _LARGEST_STATE)
    if inflater.unconsumed_tail or not inflater.eof:
        raise Damaged("its contents are incomplete or too large")
    return state
