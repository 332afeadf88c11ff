"""A whole group of stores in virtual time: the driver and the store as they run, over bad networks
and bad disks, with clients that compare and set. Everything random comes from one seed.

The algorithm alone is the business of `raft_simulation`, which is quicker and checks its rules at
each step. Here it is what clients see that must be right: the history of all their operations has
to be linearizable, and no acknowledged write may be missing in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cluster.errors import FailedPrecondition, NotFound, NotLeader, OutOfSequence, Unavailable
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.raft.config import Config
from cluster.raft.core import RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.messages import InstallSnapshot, Message
from cluster.raft.ready import Role
from cluster.replication.driver import Driver, DriverOptions
from cluster.replication.replicated_store import ReplicatedStore
from cluster.store.codec import decode_snapshot, encode_snapshot
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.linearizability import Operation, Value, check
from tests.support.virtual_time import VirtualClock, VirtualLoop

TICK_S = 0.1
LABEL = "value"
PATIENCE_S = 5.0  # of a client
FIRST = Snapshot(1, 1)


@dataclasses.dataclass
class Disk:
    """What survives a crash, and how slow it is."""

    snapshot: Snapshot
    files: dict[Snapshot, bytes]
    hard: HardState
    entries: list[Entry] = dataclasses.field(default_factory=list)


class SimulatedStorage:
    """The disk of one life of a member; it stands where `RaftStorage` stands."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.is_dead = False
        self.under_way: tuple[Any, ...] | None = None

    def persist(
        self,
        entries: Sequence[Entry] = (),
        hard: HardState | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        """Write a batch."""
        if not self.is_dead:
            self._write(entries, hard, snapshot, None)
            self.under_way = None

    def tear(self, rng: random.Random) -> None:
        """Lose power: of a write that is under way a part may be there, and nothing later."""
        if self.under_way is not None and not self.is_dead:
            entries, hard, snapshot = self.under_way
            self._write(entries, hard, snapshot, rng.randint(0, len(entries) + 2))
        self.is_dead = True

    def _write(
        self,
        entries: Sequence[Entry],
        hard: HardState | None,
        snapshot: Snapshot | None,
        records: int | None,
    ) -> None:
        disk = self.disk
        steps: list[Callable[[], None]] = []
        if snapshot is not None:
            steps.append(lambda: self._note(snapshot))
        steps += [lambda entry=entry: self._put(entry) for entry in entries]  # type: ignore[misc]
        if hard is not None:
            steps.append(lambda: setattr(disk, "hard", hard))
        for step in steps[:records]:
            step()

    def _note(self, snapshot: Snapshot) -> None:
        disk = self.disk
        covered = [e for e in disk.entries if e.index == snapshot.index]
        follows = not covered or covered[0].term == snapshot.term
        disk.entries = [e for e in disk.entries if e.index > snapshot.index] if follows else []
        disk.snapshot = snapshot

    def _put(self, entry: Entry) -> None:
        disk = self.disk
        del disk.entries[max(0, entry.index - disk.snapshot.index - 1) :]
        assert entry.index == disk.snapshot.index + len(disk.entries) + 1, "a gap in the log"
        disk.entries.append(entry)

    def save_snapshot(self, snapshot: Snapshot, data: bytes) -> None:
        """Write a snapshot's file."""
        if not self.is_dead:
            self.disk.files[snapshot] = data

    def load_snapshot(self, snapshot: Snapshot) -> bytes:
        """Read it."""
        return self.disk.files[snapshot]

    def close(self) -> None:
        """There is nothing to let go of."""


class SimulatedLoop(VirtualLoop):
    """A loop in virtual time in which what goes to another thread is done after a random time."""

    def __init__(self, rng: random.Random, sync_s: float) -> None:
        super().__init__()
        self._rng = rng
        self._sync_s = sync_s
        self._free_at: dict[int, float] = {}

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Run `func` later; each executor does one thing at a time, in order."""
        future = self.create_future()
        storage = getattr(func, "__self__", None)
        if isinstance(storage, SimulatedStorage) and func == storage.persist:
            storage.under_way = args

        def finish() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # it belongs to whoever waits
                future.set_exception(error)

        begins = max(self.time(), self._free_at.get(id(executor), 0.0))
        ends = self._free_at[id(executor)] = begins + self._rng.expovariate(1 / self._sync_s)
        self.call_at(ends, finish)
        return future


class Wire:
    """The `Peers` of one life of a member."""

    def __init__(self, world: StoreSimulation, member: Member) -> None:
        self._world = world
        self._member = member
        self._life = member.life

    def send(self, messages: Sequence[Message]) -> None:
        """Let messages go, if this life is not over."""
        if self._member.life == self._life:
            for message in messages:
                self._world.transmit(message)


@dataclasses.dataclass
class Member:
    """One manager."""

    id: int
    disk: Disk
    life: int = 0
    running: asyncio.Task[None] | None = None
    storage: SimulatedStorage | None = None
    store: ReplicatedStore | None = None

    @property
    def alive(self) -> ReplicatedStore:
        """The store, if it runs.

        Raises:
            Unavailable: it does not.
        """
        if self.running is None or self.store is None:
            raise Unavailable("it is down")
        return self.store


class StoreSimulation:
    """A group with its clients; `run` it in a `SimulatedLoop`."""

    def __init__(self, seed: int) -> None:
        """Draw a group, its faults and its clients."""
        self.rng = rng = random.Random(f"store {seed}")
        self.count = rng.choice([3, 3, 5])
        self.loss = rng.choice([0.0, 0.02, 0.2])
        self.repeats = rng.choice([0.0, 0.1])
        self.delay_s = rng.choice([0.001, 0.01, 0.04])
        self.sync_s = rng.choice([0.001, 0.01, 0.04])
        self.skew = rng.choice([1.0, 1.0, 1.5])
        self.calm_s = rng.choice([0.5, 2.0, 5.0])  # between two faults
        self.down_s = rng.choice([0.3, 1.0, 3.0])
        self.clients = rng.choice([2, 4, 6])
        self.pause_s = rng.choice([0.05, 0.2])
        self.options = {
            "snapshot_entries": rng.choice([5, 20, 10_000]),
            "kept_entries": rng.choice([0, 5, 500]),
        }
        self.knobs = {
            "max_append_bytes": rng.choice([1, 1 << 20]),
            "max_inflight_messages": rng.choice([1, 256]),
        }
        self.keys = [f"key-{i}" for i in range(rng.choice([1, 3]))]
        tx = Transaction(ClusterState(), VirtualClock.now_at(0.0))
        for key in self.keys:
            tx.create(Network(id=key, meta=Meta(), spec=NetworkSpec(name=key)))
        data = encode_snapshot(ClusterState().apply(tx.changes))
        voters = ConfState(tuple(range(1, self.count + 1)))
        first = Snapshot(FIRST.index, FIRST.term, voters)
        hard = HardState(FIRST.term, 0, FIRST.index)
        self.members = {
            i: Member(i, Disk(first, {first: data}, hard)) for i in range(1, self.count + 1)
        }
        self.cut: set[tuple[int, int]] = set()
        self.is_healing = False
        self.history: list[Operation] = []
        self.failure: AssertionError | None = None
        self.group: asyncio.TaskGroup | None = None

    def play(self, duration_s: float = 20.0) -> None:
        """Run everything and judge.

        Raises:
            AssertionError: something that must not be.
        """
        with asyncio.Runner(loop_factory=lambda: SimulatedLoop(self.rng, self.sync_s)) as runner:
            runner.get_loop().set_exception_handler(self._note_failure)
            runner.run(self._run(duration_s))
        if self.failure is not None:
            raise self.failure
        wrong = check(self.history)
        assert not wrong, wrong

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep the first failure of a callback, which nobody waits for."""
        error = context.get("exception")
        if self.failure is None and isinstance(error, AssertionError):
            self.failure = error

    async def _run(self, duration_s: float) -> None:
        async with asyncio.TaskGroup() as self.group:
            for member in self.members.values():
                self.start(member)
            using = [self.group.create_task(self._use(f"c{i}")) for i in range(self.clients)]
            hurting = self.group.create_task(self._hurt())
            await asyncio.sleep(duration_s)
            for task in (*using, hurting):
                task.cancel()
            await self._heal()
            for member in self.members.values():
                self.stop(member)

    # -- members -----------------------------------------------------------------------------

    def start(self, member: Member) -> None:
        """Begin a life from what the disk holds."""
        assert self.group is not None
        disk = member.disk
        member.life += 1
        member.storage = SimulatedStorage(disk)
        core = RaftCore(
            Config(id=member.id, election_ticks=8, **self.knobs),
            random.Random(self.rng.random()),
            disk.snapshot,
            disk.hard,
            list(disk.entries),
        )
        tick_s = TICK_S * self.rng.uniform(1 / self.skew, self.skew)
        options = DriverOptions(tick_s=tick_s, **self.options)
        storage: Any = member.storage
        driver = Driver(core, storage, Wire(self, member), options)
        state = decode_snapshot(disk.files[disk.snapshot])
        member.store = ReplicatedStore(driver, VirtualClock(), state)
        member.running = self.group.create_task(member.store.run())

    def stop(self, member: Member) -> None:
        """End a life at once; a write that is under way may be torn."""
        if member.running is None or member.storage is None:
            return
        member.running.cancel()
        member.running = None
        member.life += 1
        member.storage.tear(self.rng)

    async def _hurt(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / self.calm_s))
            leaders = [m for m in self.members.values() if m.running and m.alive.is_leader]
            victim = self.rng.choice(leaders or list(self.members.values()))
            if self.rng.random() < 0.5:
                victim = self.rng.choice(list(self.members.values()))
            match self.rng.choice(["crash", "crash", "crash all", "cut off", "cut", "hand over"]):
                case "crash":
                    self._crash(victim)
                case "crash all":
                    for member in self.members.values():
                        self._crash(member)
                case "cut off":
                    others = [other for other in self.members if other != victim.id]
                    self.cut |= {(victim.id, other) for other in others}
                    if self.rng.random() < 0.7:
                        self.cut |= {(other, victim.id) for other in others}
                    self._soon(self.cut.clear)
                case "cut":
                    self.cut.add((victim.id, self.rng.choice(list(self.members))))
                    self._soon(self.cut.clear)
                case "hand over" if victim.running and victim.alive.driver.soft.role is Role.LEADER:
                    others = [other for other in self.members if other != victim.id]
                    with contextlib.suppress(FailedPrecondition):  # one is under way
                        victim.alive.driver.transfer_leadership(self.rng.choice(others))

    def _crash(self, member: Member) -> None:
        if member.running is None:
            return
        self.stop(member)
        self._soon(lambda: None if member.running or self.is_healing else self.start(member))

    def _soon(self, action: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(self.rng.expovariate(1 / self.down_s), action)

    async def _heal(self) -> None:
        """Everything works again: the group must agree, and show every acknowledged write."""
        self.is_healing = True
        self.cut.clear()
        for member in self.members.values():
            if member.running is None:
                self.start(member)
        async with asyncio.timeout(120):
            while not (leaders := [m for m in self.members.values() if m.alive.is_leader]):
                await asyncio.sleep(TICK_S)
            for key in self.keys:
                await self._until_read(leaders[0], key)
            while len({encode_snapshot(m.alive.view()) for m in self.members.values()}) > 1:
                await asyncio.sleep(TICK_S)

    async def _until_read(self, member: Member, key: str) -> None:
        while await self._read("end", member, key) is None:
            await asyncio.sleep(TICK_S)

    # -- network -----------------------------------------------------------------------------

    def transmit(self, message: Message) -> None:
        """Send a message, which may be lost, repeated and overtaken."""
        loop = asyncio.get_running_loop()
        if isinstance(message, InstallSnapshot):
            assert self.group is not None
            self.group.create_task(self._transfer(message))
            return
        if self._is_lost(message.sender, message.to):
            return
        for _ in range(1 + (self.rng.random() < self.repeats)):
            loop.call_later(self.rng.expovariate(1 / self.delay_s), self._deliver, message)

    def _is_lost(self, sender: int, to: int) -> bool:
        if self.is_healing:
            return False
        return (sender, to) in self.cut or self.rng.random() < self.loss

    def _deliver(self, message: Message) -> None:
        member = self.members[message.to]
        if member.running is not None:
            member.alive.driver.step(message)

    async def _transfer(self, message: InstallSnapshot) -> None:
        sender, to = self.members[message.sender], self.members[message.to]
        life, delivered = sender.life, False
        try:
            assert sender.store is not None
            data = await sender.alive.driver.load_snapshot(message.snapshot)
            await self._travel(message.sender, message.to)
            await to.alive.driver.receive_snapshot(message, data)
            delivered = True
        except Unavailable:
            pass
        if sender.running is not None and sender.life == life:
            sender.alive.driver.report_snapshot(message.to, delivered=delivered)

    async def _travel(self, sender: int, to: int) -> None:
        await asyncio.sleep(self.rng.expovariate(1 / self.delay_s))
        if sender != to and self._is_lost(sender, to):
            raise Unavailable("lost")

    # -- clients -----------------------------------------------------------------------------

    async def _use(self, client: str) -> None:
        known: dict[str, tuple[int, Value]] = {}
        number = 0
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / self.pause_s))
            member = self.rng.choice(list(self.members.values()))
            key = self.rng.choice(self.keys)
            if key not in known or self.rng.random() < 0.4:
                found = await self._read(client, member, key)
                if found is not None:
                    known[key] = found
                continue
            number += 1
            await self._write(client, member, key, known.pop(key), f"{client}.{number}")

    async def _read(self, client: str, member: Member, key: str) -> tuple[int, Value] | None:
        loop = asyncio.get_running_loop()
        called = loop.time()
        try:
            async with asyncio.timeout(PATIENCE_S):
                state = await self._current(member)
        except (TimeoutError, Unavailable):
            return None
        found = state.networks.get(key)
        value = (found.spec.labels or {}).get(LABEL)
        self.history.append(Operation(key, called, loop.time(), value, client=client))
        return found.meta.version, value

    async def _current(self, member: Member) -> ClusterState:
        """Read as a manager's API does: the leader says how far the copy has to be."""
        store = member.alive
        if store.is_leader:
            return await store.read_barrier()
        leader = self._leader_as_known_by(store)
        await self._travel(member.id, leader.id)
        index = await leader.alive.driver.read_barrier()
        await self._travel(leader.id, member.id)
        await store.driver.wait_applied(index)
        return store.view()

    async def _write(
        self, client: str, member: Member, key: str, seen: tuple[int, Value], value: str
    ) -> None:
        loop = asyncio.get_running_loop()
        version, expected = seen
        called = loop.time()

        def work(tx: Transaction) -> None:
            found = tx.state.networks.get(key)
            if found is None:
                raise NotFound(key)
            spec = msgspec.structs.replace(found.spec, labels={LABEL: value})
            tx.update(msgspec.structs.replace(found, spec=spec), expected_version=version)

        outcome, returned = "unknown", math.inf
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._update(member, work)
                outcome, returned = "done", loop.time()
        except OutOfSequence:
            outcome, returned = "refused", loop.time()
        except (TimeoutError, Unavailable):
            pass
        finally:  # also when the client is called off
            self.history.append(
                Operation(key, called, returned, expected, value, outcome, client)  # type: ignore[arg-type]
            )

    async def _update(self, member: Member, work: Callable[[Transaction], None]) -> None:
        store = member.alive
        if store.is_leader:
            await store.update(work)
            return
        leader = self._leader_as_known_by(store)
        await self._travel(member.id, leader.id)
        await leader.alive.update(work)
        await self._travel(leader.id, member.id)

    def _leader_as_known_by(self, store: ReplicatedStore) -> Member:
        leader = self.members.get(store.leader)
        if leader is None:
            raise NotLeader("nobody leads")
        return leader
