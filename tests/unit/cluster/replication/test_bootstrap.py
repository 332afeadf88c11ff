from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cluster.errors import FailedPrecondition, FatalStorageError
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.replication.bootstrap import (
    create_cluster,
    create_joiner,
    has_cluster,
    open_store,
    restart_alone,
)
from cluster.replication.storage import RaftStorage
from cluster.store.change import Created
from cluster.store.codec import encode_entry, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.manual_clock import ManualClock
from tests.unit.cluster.replication.cluster_in_one_process import create, names, network


async def use(directory: Path, *new: str) -> list[str]:
    store = open_store(directory, ManualClock())
    running = asyncio.ensure_future(store.run())
    await store.wait_leader()
    for name in new:
        await store.update(create(name))
    found = names(store.view())
    running.cancel()
    await asyncio.wait([running])
    return found


async def test_a_new_cluster_holds_its_first_changes(tmp_path: Path) -> None:
    directory = tmp_path / "raft"
    assert not has_cluster(directory)
    create_cluster(directory, [Created(network("first"))])
    assert has_cluster(directory)
    assert open_and_close(directory).revision == 1
    assert await use(directory, "second") == ["first", "second"]
    assert await use(directory, "third") == ["first", "second", "third"]


async def test_a_member_goes_on_alone_with_all_it_has(tmp_path: Path) -> None:
    # One of three, whose last entry it does not know to be committed.
    three = Snapshot(1, 1, ConfState((1, 2, 3)))
    storage = RaftStorage.create(tmp_path, three, encode_snapshot(ClusterState()))
    entries = []
    state = ClusterState()
    for index, name in enumerate(("known", "acknowledged-perhaps"), 2):
        tx = Transaction(state, ManualClock().now())
        tx.create(network(name))
        entries.append(Entry(index, 3, encode_entry(tx.changes)))
        state = state.apply(tx.changes)
    storage.persist(entries, HardState(4, 2, 2))
    storage.close()
    restart_alone(tmp_path, ManualClock(), 2, lambda tx: tx.create(network("on the occasion")))
    store = open_store(tmp_path, ManualClock(), raft_id=2)
    running = asyncio.ensure_future(store.run())
    async with asyncio.timeout(20):
        await store.wait_leader()
        await store.update(create("later"))
    expected = ["acknowledged-perhaps", "known", "later", "on the occasion"]
    assert sorted(names(store.view())) == expected
    assert store.driver.conf == ConfState((2,))
    assert store.driver.soft.term > 5
    running.cancel()
    await asyncio.wait([running])


def test_a_member_that_joins_knows_nothing(tmp_path: Path) -> None:
    create_joiner(tmp_path)
    assert open_and_close(tmp_path).revision == 0


def open_and_close(directory: Path):
    store = open_store(directory, ManualClock())
    store._driver._storage.close()
    return store.view()


def test_a_second_cluster_is_refused(tmp_path: Path) -> None:
    create_cluster(tmp_path, [])
    with pytest.raises(FailedPrecondition, match="holds the state of a cluster already"):
        create_cluster(tmp_path, [])


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="holds no cluster state"):
        open_store(tmp_path, ManualClock())


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    create_cluster(tmp_path, [])
    store = open_store(tmp_path, ManualClock())
    with pytest.raises(FailedPrecondition, match=r"in use by another process \(pid \d+\)"):
        open_store(tmp_path, ManualClock())
    store._driver._storage.close()
    open_and_close(tmp_path)


def test_a_creation_that_was_cut_off_can_be_repeated(tmp_path: Path) -> None:
    create_cluster(tmp_path, [Created(network("old"))])
    for snapshot in (tmp_path / "snapshots").iterdir():
        snapshot.unlink()  # it is written last
    create_cluster(tmp_path, [Created(network("new"))])
    assert names(open_and_close(tmp_path)) == ["new"]


@pytest.mark.parametrize("lost", ["data-key", "log/00000000000000000001.wal"])
def test_a_missing_file_is_named(tmp_path: Path, lost: str) -> None:
    create_cluster(tmp_path, [])
    for path in tmp_path.glob("log/*.wal"):
        if lost.startswith("log/"):
            path.unlink()
    (tmp_path / lost).unlink(missing_ok=True)
    with pytest.raises(FatalStorageError, match="key" if lost == "data-key" else "log is missing"):
        open_store(tmp_path, ManualClock())
