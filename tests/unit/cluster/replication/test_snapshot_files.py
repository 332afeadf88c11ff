from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import FatalStorageError
from cluster.raft.entry import ConfState, Snapshot
from cluster.replication.data_keys import DataKeys
from cluster.replication.sealing import DataKey
from cluster.replication.snapshot_files import KEPT, SnapshotFiles

KEY = DataKeys([DataKey(bytes(32))])
CONF = ConfState((1, 2, 3))


def place(index: int) -> Snapshot:
    return Snapshot(index, 1, CONF)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_snapshot_comes_back(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    files = SnapshotFiles(tmp_path, KEY)
    files.save(place(7), data)
    assert files.load(place(7)) == data
    assert list(SnapshotFiles(tmp_path, KEY).newest_first()) == [(place(7), data)]


def test_the_newest_comes_first_and_two_are_kept(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path, KEY)
    for index in (5, 100, 20):
        files.save(place(index), b"%d" % index)
    assert [found[0].index for found in files.newest_first()] == [100, 20, 5]
    files.prune()
    assert [found[0].index for found in files.newest_first()] == [100, 20]
    assert len(list(tmp_path.iterdir())) == KEPT
    assert files.oldest_index() == 20


def test_any_change_is_noticed(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path, KEY)
    files.save(place(7), b"the state")
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    assert b"the state" not in good
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        with pytest.raises(FatalStorageError, match=str(path)):
            files.load(place(7))
        path.write_bytes(good[:at])
        with pytest.raises(FatalStorageError, match=str(path)):
            files.load(place(7))


def test_a_snapshot_cut_at_a_chunk_is_not_whole(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path, KEY)
    files.save(place(7), bytes(2 << 20))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[: -(1 << 20) - 16 - 8])
    with pytest.raises(FatalStorageError, match="the seal does not fit"):
        files.load(place(7))


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000007-00000000000000000001.snapshot.tmp").write_bytes(b"half")
    assert list(SnapshotFiles(tmp_path, KEY).newest_first()) == []
    assert list(tmp_path.iterdir()) == []
