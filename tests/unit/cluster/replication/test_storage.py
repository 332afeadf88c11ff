from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import FatalStorageError
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.replication.storage import RaftStorage, Recovered

CONF = ConfState((1,))
START = Snapshot(1, 1, CONF)
SEGMENT = 4096


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [Entry(index, term, b"x" * 100) for index in range(first, last + 1)]


def member(directory: Path) -> RaftStorage:
    return RaftStorage.create(directory, START, b"start", segment_bytes=SEGMENT)


def reopen(directory: Path) -> Recovered:
    storage = RaftStorage(directory, segment_bytes=SEGMENT)
    storage.close()
    return storage.recovered


def fill(storage: RaftStorage) -> tuple[Snapshot, Snapshot]:
    """Write 300 entries, with snapshots at 100 and 200, and return those."""
    taken = Snapshot(100, 1, CONF), Snapshot(200, 1, CONF)
    for index in range(2, 301):
        storage.persist(entries(index, index), HardState(1, 1, index - 1))
        for snapshot in taken:
            if index == snapshot.index + 10:
                storage.save_snapshot(snapshot, b"at %d" % snapshot.index)
                storage.persist(snapshot=snapshot)
    return taken


def test_a_new_member_starts_from_its_snapshot(tmp_path: Path) -> None:
    member(tmp_path).close()
    assert reopen(tmp_path) == Recovered(START, b"start", HardState(1, 0, 1), [])


def test_a_restart_finds_the_newest_snapshot_and_what_follows(tmp_path: Path) -> None:
    storage = member(tmp_path)
    _, newest = fill(storage)
    storage.close()
    for _ in range(2):
        found = reopen(tmp_path)
        assert (found.snapshot, found.data) == (newest, b"at 200")
        assert found.hard == HardState(1, 1, 299)
        assert list(found.entries) == entries(201, 300)


def test_the_disk_is_given_back(tmp_path: Path) -> None:
    storage = member(tmp_path)
    fill(storage)
    storage.close()
    first = min((tmp_path / "log").iterdir()).stem
    assert int(first) > 1
    assert sorted(path.name[17:20] for path in (tmp_path / "snapshots").iterdir()) == ["100", "200"]


def test_a_damaged_snapshot_is_replaced_by_the_one_before_it(tmp_path: Path) -> None:
    storage = member(tmp_path)
    older, _ = fill(storage)
    storage.close()
    newest_file = max((tmp_path / "snapshots").iterdir())
    newest_file.write_bytes(newest_file.read_bytes()[:-1])
    for _ in range(2):
        found = reopen(tmp_path)
        assert (found.snapshot, found.data) == (older, b"at 100")
        assert list(found.entries) == entries(101, 300)


def test_a_snapshot_that_the_log_does_not_reach_is_refused(tmp_path: Path) -> None:
    storage = member(tmp_path)
    fill(storage)
    storage.close()
    for path in (tmp_path / "snapshots").iterdir():
        path.write_bytes(b"")
    with pytest.raises(FatalStorageError, match="the snapshot is damaged"):
        reopen(tmp_path)


def test_a_crash_before_a_received_snapshot_is_noted_still_takes_it(tmp_path: Path) -> None:
    storage = member(tmp_path)
    storage.persist(entries(2, 50), HardState(1, 1, 20))
    received = Snapshot(40, 3, ConfState((1, 2, 3)))
    storage.save_snapshot(received, b"received")
    storage.close()
    assert reopen(tmp_path) == Recovered(received, b"received", HardState(1, 1, 20), [])
    storage = RaftStorage(tmp_path, segment_bytes=SEGMENT)
    storage.persist(entries(41, 42, term=3), HardState(3, 0, 41))
    storage.close()
    found = reopen(tmp_path)
    assert (found.snapshot, list(found.entries)) == (received, entries(41, 42, term=3))
