from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import FatalStorageError
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.replication.data_keys import DataKeys
from cluster.replication.sealing import DataKey
from cluster.replication.wal import LogContent, WriteAheadLog

KEY = DataKeys([DataKey(bytes(range(32)))])
SMALL = 4096


def open_log(path: Path, segment_bytes: int = SMALL) -> WriteAheadLog:
    return WriteAheadLog(path, KEY, segment_bytes=segment_bytes)


def entries(first: int, count: int, term: int = 1, size: int = 20) -> list[Entry]:
    return [
        Entry(i, term, f"{i}/{term} ".encode().ljust(size, b"."))
        for i in range(first, first + count)
    ]


def reopened(path: Path) -> LogContent:
    wal = open_log(path)
    wal.close()
    return wal.content


def facts(content: LogContent) -> tuple[HardState, list[Entry]]:
    return content.hard, content.entries


def newest_segment(path: Path) -> Path:
    return max(path.glob("*.wal"))


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    assert facts(reopened(tmp_path / "wal")) == (HardState(), [])


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    wal.append(entries(1, 3), HardState(1, 1, 0))
    wal.append(entries(4, 2))
    wal.append((), HardState(1, 1, 5))
    wal.close()
    assert facts(reopened(tmp_path)) == (HardState(1, 1, 5), entries(1, 5))
    assert facts(reopened(tmp_path)) == (HardState(1, 1, 5), entries(1, 5))


def test_a_leader_replaces_the_end_of_the_log(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    wal.append(entries(1, 5), HardState(1, 0, 0))
    wal.append(entries(3, 1, term=2), HardState(2, 0, 2))
    wal.close()
    assert facts(reopened(tmp_path)) == (HardState(2, 0, 2), entries(1, 2) + entries(3, 1, term=2))


def test_segments_follow_each_other(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    for index in range(1, 200):
        wal.append(entries(index, 1), HardState(1, 1, index - 1))
    wal.close()
    assert len(list(tmp_path.glob("*.wal"))) > 3
    assert facts(reopened(tmp_path)) == (HardState(1, 1, 198), entries(1, 199))


def test_a_batch_larger_than_a_segment_gets_room(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    wal.append(entries(1, 2, size=3 * SMALL))
    wal.append(entries(3, 1))
    wal.close()
    assert reopened(tmp_path).entries == entries(1, 2, size=3 * SMALL) + entries(3, 1)


def test_old_segments_go_and_the_rest_still_opens(tmp_path: Path) -> None:
    snapshot = Snapshot(150, 1, ConfState((1,)))
    wal = open_log(tmp_path)
    for index in range(1, 200):
        wal.append(entries(index, 1), HardState(1, 1, index - 1))
        if index == 160:
            wal.append((), snapshot=snapshot)
    before = len(list(tmp_path.glob("*.wal")))
    wal.remove_before(150)
    wal.close()
    assert len(list(tmp_path.glob("*.wal"))) < before
    content = reopened(tmp_path)
    assert content.hard == HardState(1, 1, 198)
    assert content.snapshot == snapshot
    assert content.after(snapshot) == entries(151, 49)
    assert content.after(Snapshot(10, 1)) is None


def test_a_received_snapshot_replaces_the_entries(tmp_path: Path) -> None:
    snapshot = Snapshot(100, 3, ConfState((1, 2, 3)))
    wal = open_log(tmp_path)
    wal.append(entries(1, 120), HardState(1, 1, 50))
    wal.append(entries(101, 2, term=3), HardState(3, 0, 100), snapshot)
    wal.close()
    content = reopened(tmp_path)
    assert content.after(snapshot) == entries(101, 2, term=3)
    assert content.base_index == 100


def test_a_crash_between_snapshot_file_and_log_drops_the_entries_it_contradicts(
    tmp_path: Path,
) -> None:
    wal = open_log(tmp_path)
    wal.append(entries(1, 120), HardState(1, 1, 50))
    wal.close()
    content = reopened(tmp_path)
    assert content.after(Snapshot(100, 3)) == []
    assert content.after(Snapshot(300, 3)) == []
    assert content.after(Snapshot(100, 1)) == entries(101, 20)


def test_restarts_do_not_pile_up_segments(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    wal.append(entries(1, 1))
    wal.close()
    for _ in range(5):
        assert reopened(tmp_path).entries == entries(1, 1)
    assert len(list(tmp_path.glob("*.wal"))) == 2


def write_three_batches(path: Path) -> tuple[Path, int, int]:
    """Return the segment, and where its third batch begins and ends."""
    wal = open_log(path)
    wal.append(entries(1, 2), HardState(1, 1, 0))
    wal.append(entries(3, 1), HardState(1, 1, 2))
    start = wal._end
    wal.append(entries(4, 3), HardState(1, 1, 3))
    end = wal._end
    wal.close()
    return newest_segment(path), start, end


def test_a_log_cut_at_any_byte_of_the_last_batch_comes_back_without_it(tmp_path: Path) -> None:
    segment, start, end = write_three_batches(tmp_path / "whole")
    content = segment.read_bytes()
    for cut in range(start, end + 1):
        for name, torn in (
            ("short", content[:cut]),  # the file ends there
            ("zero", content[:cut] + bytes(len(content) - cut)),  # preallocated, never written
            ("hole", content[:start] + bytes(cut - start) + content[cut:]),  # only the end arrived
        ):
            path = tmp_path / f"{name}-{cut}"
            path.mkdir()
            (path / segment.name).write_bytes(torn)
            found = facts(reopened(path))
            older = (HardState(1, 1, 2), entries(1, 3))
            newer = (HardState(1, 1, 3), entries(1, 6))
            assert found in (older, newer), (name, cut)
            if name == "short":
                assert facts(reopened(path)) == found
            for left in path.iterdir():
                left.unlink()


def test_a_repaired_log_goes_on(tmp_path: Path) -> None:
    segment, _, end = write_three_batches(tmp_path)
    os.truncate(segment, end - 9)
    wal = open_log(tmp_path)
    wal.append(entries(4, 1, term=2), HardState(2, 0, 3))
    wal.close()
    assert facts(reopened(tmp_path)) == (HardState(2, 0, 3), entries(1, 3) + entries(4, 1, term=2))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_damage_before_the_last_batch_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("wal")
    segment, start, _ = write_three_batches(path)
    content = bytearray(segment.read_bytes())
    content[at % start] ^= 1 << bit
    segment.write_bytes(content)
    whole = HardState(1, 1, 3), entries(1, 6)
    assert outcome(path) in (whole, str(segment))  # whole: padding carries nothing


def outcome(path: Path) -> tuple[HardState, list[Entry]] | str:
    """Return what a log holds, or the file that a refusal names."""
    try:
        return facts(reopened(path))
    except FatalStorageError as error:
        return str(error).partition(": ")[0]


def test_damage_is_reported_with_file_and_offset(tmp_path: Path) -> None:
    segment, _, _ = write_three_batches(tmp_path)
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)
    with pytest.raises(FatalStorageError, match=rf"{segment}: offset \d+: .*damaged"):
        open_log(tmp_path)


def test_a_torn_end_of_an_older_segment_is_refused(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    for index in range(1, 100):
        wal.append(entries(index, 1))
    wal.close()
    oldest = min(tmp_path.glob("*.wal"))
    os.truncate(oldest, oldest.stat().st_size - 12)
    with pytest.raises(FatalStorageError, match=f"{oldest}: offset .*later segments"):
        open_log(tmp_path)


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    for index in range(1, 200):
        wal.append(entries(index, 1))
    wal.close()
    sorted(tmp_path.glob("*.wal"))[1].unlink()
    with pytest.raises(FatalStorageError, match=r"segment 0+2\.wal is missing"):
        open_log(tmp_path)


def test_a_swapped_segment_is_refused(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    for index in range(1, 200):
        wal.append(entries(index, 1))
    wal.close()
    first, second = sorted(tmp_path.glob("*.wal"))[:2]
    second.write_bytes(first.read_bytes())
    with pytest.raises(FatalStorageError, match="this is segment 1, under another name"):
        open_log(tmp_path)


def test_another_key_is_refused(tmp_path: Path) -> None:
    write_three_batches(tmp_path)
    with pytest.raises(FatalStorageError, match="put the right key file back"):
        WriteAheadLog(tmp_path, DataKeys([DataKey(bytes(32))]), segment_bytes=SMALL)


def test_nothing_is_readable_on_disk(tmp_path: Path) -> None:
    wal = open_log(tmp_path)
    wal.append([Entry(1, 1, b"a very secret word")])
    wal.close()
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_failed_sync_ends_the_log_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wal = open_log(tmp_path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(FatalStorageError, match="cannot sync: Input/output error"):
            wal.append(entries(1, 1))
    with pytest.raises(FatalStorageError, match="cannot sync"):
        wal.append(entries(1, 1))
    wal.close()


def test_a_full_disk_ends_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wal = open_log(tmp_path)

    def fail(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail)

    def write_until_it_fails() -> None:
        for index in range(1, 200):
            wal.append(entries(index, 1))

    with pytest.raises(FatalStorageError, match="No space left on device"):
        write_until_it_fails()
    monkeypatch.undo()
    found = reopened(tmp_path).entries
    assert found == entries(1, len(found))
    assert found
