"""Raft members in one process: real disks, real loops, wires that can be cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.raft.config import Config
from cluster.raft.core import RaftCore
from cluster.raft.entry import ConfState, Snapshot
from cluster.raft.messages import InstallSnapshot, Message
from cluster.replication.driver import Driver, DriverOptions
from cluster.replication.replicated_store import ReplicatedStore
from cluster.replication.storage import RaftStorage
from cluster.store.codec import decode_snapshot, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.manual_clock import ManualClock

FAST = DriverOptions(tick_s=0.005, snapshot_entries=20, kept_entries=5)


class Wire:
    """The `Peers` of one member."""

    def __init__(self, group: Group, sender: int) -> None:
        self.group = group
        self.sender = sender

    def send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            asyncio.get_running_loop().call_soon(self.group.deliver, message)


class Group:
    def __init__(self, directory: Path, count: int) -> None:
        self.directory = directory
        self.ids = range(1, count + 1)
        self.stores: dict[int, ReplicatedStore] = {}
        self.drivers: dict[int, Driver] = {}
        self.running: dict[int, asyncio.Task[None]] = {}
        self.cut_off: set[int] = set()
        self.tasks: asyncio.TaskGroup | None = None
        start = Snapshot(1, 1, ConfState(tuple(self.ids)))
        for raft_id in self.ids:
            RaftStorage.create(
                directory / str(raft_id),
                start,
                encode_snapshot(ClusterState()),
                segment_bytes=1 << 16,
            ).close()

    def start(self, raft_id: int) -> None:
        assert self.tasks is not None
        storage = RaftStorage(self.directory / str(raft_id), segment_bytes=1 << 16)
        found = storage.recovered
        dice = random.Random(raft_id)
        core = RaftCore(Config(id=raft_id), dice, found.snapshot, found.hard, found.entries)
        driver = Driver(core, storage, Wire(self, raft_id), FAST)
        store = ReplicatedStore(driver, ManualClock(), decode_snapshot(found.data))
        self.drivers[raft_id], self.stores[raft_id] = driver, store
        self.running[raft_id] = self.tasks.create_task(store.run())

    async def stop(self, raft_id: int) -> None:
        task = self.running.pop(raft_id)
        task.cancel()
        await asyncio.wait([task])

    def deliver(self, message: Message) -> None:
        if message.to not in self.running or {message.sender, message.to} & self.cut_off:
            if isinstance(message, InstallSnapshot):
                self.drivers[message.sender].report_snapshot(message.to, delivered=False)
        elif isinstance(message, InstallSnapshot):
            assert self.tasks is not None
            self.tasks.create_task(self.transfer(message))
        else:
            self.drivers[message.to].step(message)

    async def transfer(self, message: InstallSnapshot) -> None:
        sender = self.drivers[message.sender]
        data = await sender.load_snapshot(message.snapshot)
        await self.drivers[message.to].receive_snapshot(message, data)
        sender.report_snapshot(message.to, delivered=True)

    async def leader(self) -> ReplicatedStore:
        """Return the store of a leader that is not cut off, once there is one."""
        async with asyncio.timeout(20):
            while True:
                for raft_id in self.running:
                    if self.stores[raft_id].is_leader and raft_id not in self.cut_off:
                        return self.stores[raft_id]
                await asyncio.sleep(0.005)

    def id_of(self, store: ReplicatedStore) -> int:
        return next(raft_id for raft_id, other in self.stores.items() if other is store)

    async def agree(self, revision: int) -> None:
        async with asyncio.timeout(20):
            while any(s.view().revision < revision for s in self.stores.values()):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running_group(directory: Path, count: int) -> AsyncIterator[Group]:
    group = Group(directory, count)
    async with asyncio.TaskGroup() as tasks:
        group.tasks = tasks
        for raft_id in group.ids:
            group.start(raft_id)
        yield group
        for raft_id in list(group.running):
            await group.stop(raft_id)


def network(name: str) -> Network:
    return Network(id=f"id-{name}", meta=Meta(), spec=NetworkSpec(name=name))


def create(name: str):
    def work(tx: Transaction) -> str:
        tx.create(network(name))
        return name

    return work


def names(state: ClusterState) -> list[str]:
    return [item.spec.name for item in state.networks]
