"""A manager's keys follow the cluster's unlock key: on a real log, through every change."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from cluster.ca.key_files import KeyFiles
from cluster.ca.node_lock import NodeLock, new_unlock_key
from cluster.clock import SystemClock
from cluster.daemon.lock_keeper import LockKeeper
from cluster.model.ids import SecretId
from cluster.model.meta import Meta
from cluster.model.secret import Secret, SecretSpec
from cluster.replication.bootstrap import create_cluster, open_store
from cluster.replication.driver import DriverOptions
from cluster.replication.replicated_store import ReplicatedStore
from cluster.store.change import Created
from tests.support.identities import cluster_object, credentials

CANARY = "canary-that-must-not-be-found"
ME = credentials("n1", "manager")


class Manager:
    """One life of a manager's process, as far as its keys go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = NodeLock(folder)
        self.files = KeyFiles(folder / "certificates", self.lock)

    def found(self) -> None:
        create_cluster(self.folder / "raft", [Created(cluster_object())])
        self.files.save(ME)

    async def __aenter__(self) -> Manager:
        options = DriverOptions(tick_s=0.01)
        self.store: ReplicatedStore = open_store(
            self.folder / "raft", SystemClock(), options=options, lock=self.lock
        )
        assert self.files.load() == ME
        self.keeper = LockKeeper(self.lock, self.store.driver, self.save)
        self.group = asyncio.TaskGroup()
        await self.group.__aenter__()
        self.tasks = [self.group.create_task(self.store.run())]
        await self.store.wait_leader()
        self.tasks.append(self.group.create_task(self.keeper.follow(self.store)))
        await self.keeper.settled.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await self.group.__aexit__(None, None, None)

    async def save(self) -> None:
        await asyncio.to_thread(self.files.save, ME)

    async def want(self, unlock_key: str) -> None:
        def work(tx) -> None:
            tx.update(msgspec.structs.replace(tx.state.cluster, unlock_key=unlock_key))

        await self.store.update(work)
        async with asyncio.timeout(20):
            while self.lock.opened_with != unlock_key or self.lock.is_changing:
                await asyncio.sleep(0.01)

    async def put(self, name: str) -> None:
        spec = SecretSpec(name=name, data=CANARY.encode())
        await self.store.update(
            lambda tx: tx.create(Secret(id=SecretId(name), meta=Meta(), spec=spec))
        )

    def names(self) -> set[str]:
        return {secret.spec.name for secret in self.store.view().secrets}

    def data_key_ids(self) -> set[bytes]:
        found = set()
        for path in (self.folder / "raft" / "log").glob("*.wal"):
            found.add(path.read_bytes()[32:40])
        return found


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_locked_rotated_and_opened_again_with_restarts_between(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    manager.found()
    first, second = new_unlock_key(), new_unlock_key()
    async with manager:
        await manager.put("one")
        before = manager.data_key_ids()
        await manager.want(first)
        await manager.put("two")
        assert manager.data_key_ids() - before  # a new segment under a new data key

    manager = Manager(tmp_path)
    assert manager.lock.is_locked
    manager.lock.unlock(first)
    async with manager:
        assert manager.names() == {"one", "two"}
        await manager.want(second)
        await manager.put("three")

    manager = Manager(tmp_path)
    manager.lock.unlock(second)
    async with manager:
        assert manager.names() == {"one", "two", "three"}
        await manager.want("")

    manager = Manager(tmp_path)
    assert not manager.lock.is_there
    async with manager:
        assert manager.names() == {"one", "two", "three"}


async def test_no_secret_lies_on_the_disk_in_clear(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    manager.found()
    cluster = cluster_object()
    unlock_key = new_unlock_key()
    async with manager:
        await manager.put("one")
        await manager.want(unlock_key)
        await manager.put("two")
        data_keys = manager.folder / "raft" / "data-key"
        found = everything_in(tmp_path)
    key_text = "".join(ME.key_pem.splitlines()[1:-1])
    for secret in (
        CANARY,
        unlock_key.removeprefix("SWMKEY-1-"),
        cluster.worker_token.rpartition("-")[2],
        cluster.manager_token.rpartition("-")[2],
        cluster.root_ca.key_pem.splitlines()[1],
        key_text[:60],
    ):
        assert secret.encode() not in found
    assert b"wrapped" in data_keys.read_bytes()


async def test_a_change_that_was_cut_off_is_completed_at_the_next_start(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    manager.found()
    key = new_unlock_key()
    async with manager:
        await manager.put("one")
        await manager.want(key)
    half = Manager(tmp_path)
    half.lock.unlock(key)
    half.lock.begin(key)  # and then the power fails
    manager = Manager(tmp_path)
    manager.lock.unlock(key)
    assert manager.lock.is_changing
    async with manager:
        assert not manager.lock.is_changing
        assert manager.names() == {"one"}


async def test_the_former_data_key_goes_with_the_last_file_that_needs_it(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    manager.found()
    async with manager:
        [old] = manager.data_key_ids()
        for number in range(3):
            await manager.put(f"s{number}")
            await manager.want(new_unlock_key())
            snapshots = tmp_path / "raft" / "snapshots"
            newest = manager.store.driver
            async with asyncio.timeout(20):
                while newest._is_snapshot_due or newest._is_saving:
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(20):
            while old in manager.data_key_ids():
                await manager.put(f"more{len(manager.names())}")
                await asyncio.sleep(0.01)
        assert len(list(snapshots.glob("*.snapshot"))) <= 2
