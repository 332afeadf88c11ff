"""The loop around the raft core: ticks and messages in, `Ready` out, in the right order.

One disk thread makes everything durable. While it syncs, the loop applies what is committed and
takes new proposals, so that all that arrive meanwhile share the next sync (group commit).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog

from cluster.errors import FailedPrecondition, FatalStorageError, NotLeader, Unavailable
from cluster.raft.core import ProposalDropped, RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.messages import InstallSnapshot, Message
from cluster.raft.quorum import LOSS_OF_QUORUM, majority
from cluster.raft.ready import ReadState, Ready, Role, SoftState
from cluster.replication.ports import Peers, StateMachine
from cluster.replication.storage import RaftStorage

log = structlog.get_logger()


HEARD_LATELY_S = 2.0
"""A member that was silent for longer counts as unreachable."""

ANSWER_S = 1.0
"""How long a member may take to answer when it is asked whether it is there."""

LOOK_S = 0.02


class DriverOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The knobs of the loop.

    Attributes:
        tick_s: length of a tick in seconds.
        snapshot_entries: applied entries from one snapshot to the next.
        kept_entries: entries that stay in memory behind a snapshot, for slow followers.
    """

    tick_s: float = 0.1
    snapshot_entries: int = 10_000
    kept_entries: int = 500


class Driver:
    """Runs one raft member. All calls belong to one event loop."""

    def __init__(
        self,
        core: RaftCore,
        storage: RaftStorage,
        peers: Peers,
        options: DriverOptions,
    ) -> None:
        """Put the parts together; `core` and `storage` are of the same recovery."""
        self._core = core
        self._storage = storage
        self._peers = peers
        self._options = options
        self._wake = asyncio.Event()
        self._unwritten_hard: HardState | None = None
        self._last_snapshot = core.log.snapshot.index
        self._is_saving = False
        self._is_snapshot_due = False
        self._is_stopped = False
        self._reads: dict[int, asyncio.Future[int]] = {}
        self._waiting_for_apply: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._followers_reads: list[tuple[int, asyncio.Future[int]]] = []
        self._conf_changes: list[tuple[int, asyncio.Future[None]]] = []
        self._heard_at_s: dict[int, float] = {}
        self._told_conf = ConfState()
        # Of its own, so that the log is never kept waiting by a snapshot.
        self._log_thread = ThreadPoolExecutor(1, thread_name_prefix="raft-log")
        self._snapshot_thread = ThreadPoolExecutor(1, thread_name_prefix="raft-snapshot")

    @property
    def soft(self) -> SoftState:
        """Role, leader and term as the core has them now."""
        return self._core.soft

    @property
    def raft_id(self) -> int:
        """This member's raft ID."""
        return self._core.id

    @property
    def conf(self) -> ConfState:
        """Who takes part, as far as this member knows."""
        return self._core.conf

    def reachable(self) -> frozenset[int]:
        """Return the members that were heard of lately, this one included."""
        since_s = asyncio.get_running_loop().time() - HEARD_LATELY_S
        heard = {peer for peer, at_s in self._heard_at_s.items() if at_s >= since_s}
        return frozenset(heard | {self._core.id}) & set(self._core.conf.members)

    async def answering(self) -> frozenset[int]:
        """Return the members that answer now, this one included; it takes a heartbeat or two.

        A member that has just died still counts as `reachable`; here it does not.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            heard = {peer for peer, at_s in self._heard_at_s.items() if at_s > began_s}
            members = set(self._core.conf.members)
            found = frozenset(heard | {self._core.id}) & members
            if len(found) == len(members) or loop.time() - began_s >= ANSWER_S:
                return found
            await asyncio.sleep(LOOK_S)

    def caught_up(self) -> frozenset[int]:
        """Return the learners that could vote now; only a leader knows."""
        core = self._core
        if core.soft.role is not Role.LEADER:
            return frozenset()
        reachable = self.reachable()
        return frozenset(
            learner
            for learner in core.conf.learners
            if learner in reachable and core.is_caught_up(learner)
        )

    async def change_members(self, conf: ConfState) -> None:
        """Make `conf` the group's members; it differs in one of them (Raft thesis, 4.1).

        The new members are in force before they have agreed to be, so a majority of them has to
        answer first: else the group would lose its leader, and could not take the change back.

        Raises:
            NotLeader: not the leader, or leadership was lost before it was committed.
            FailedPrecondition: not allowed, or not now; nothing was changed.
        """
        self._check_leads()
        if conf.voters != self._core.conf.voters:
            answering = await self.answering()
            if len(answering.intersection(conf.voters)) < majority(len(conf.voters)):
                raise FailedPrecondition(LOSS_OF_QUORUM)
            self._check_leads()
        try:
            index = self._core.propose_conf(conf)
        except ProposalDropped as error:
            raise FailedPrecondition(str(error)) from error
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._conf_changes.append((index, future))
        self._wake.set()
        await future

    def _check_leads(self) -> None:
        if self._is_stopped or self._core.soft.role is not Role.LEADER:
            raise NotLeader("this manager is not the leader")

    def transfer_leadership(self, to: int) -> None:
        """Ask `to` to take over; the role tells whether it did (Raft thesis, 3.10).

        Raises:
            FailedPrecondition: not the leader, or `to` is no other voter.
        """
        try:
            self._core.transfer_leadership(to)
        except ProposalDropped as error:
            raise FailedPrecondition(str(error)) from error
        self._wake.set()

    async def wait_applied(self, index: int) -> None:
        """Return once the state holds the log up to `index`."""
        if self._core.log.applied >= index:
            return
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = (index, future)
        self._followers_reads.append(waiting)
        try:
            await future
        finally:
            self._followers_reads.remove(waiting)

    async def run(self, machine: StateMachine) -> None:
        """Work until cancelled; the storage is closed afterwards.

        Raises:
            FatalStorageError: the disk failed. The process must stop.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._tick())
                if self._core.conf.voters == (self._core.id,):
                    self._core.campaign()  # nobody to wait for
                self._wake.set()
                await self._work(machine, group)
        except BaseExceptionGroup as failures:
            fatal, _ = failures.split(FatalStorageError)
            if fatal is None:
                raise
            raise _first(fatal) from failures
        finally:
            self._is_stopped = True
            machine.role_changed(SoftState(Role.FOLLOWER, 0, self._core.soft.term))
            self._fail_reads("this manager stops")
            self._fail_conf_changes("this manager stops")
            # Waits for a write that is under way; nothing may touch the files after that.
            self._log_thread.shutdown()
            self._snapshot_thread.shutdown()
            self._storage.close()

    def close(self) -> None:
        """Let go of the files; only while `run` does not run."""
        self._storage.close()

    def propose(self, data: bytes, term: int) -> int:
        """Append an entry; all of one turn of the event loop go to the disk together.

        Args:
            data: not empty.
            term: the term in which the caller believes to lead.

        Returns:
            The entry's index. It is committed if an entry of this index and `term` is applied.

        Raises:
            NotLeader: not the leader of `term`.
            Unavailable: too much is waiting to be committed.
        """
        soft = self._core.soft
        if self._is_stopped or soft.role is not Role.LEADER or soft.term != term:
            raise NotLeader("this manager is not the leader any more")
        try:
            index = self._core.propose([data])
        except ProposalDropped as error:
            raise Unavailable(str(error)) from error
        self._wake.set()
        return index

    async def read_barrier(self) -> int:
        """Return once the state holds everything that was acknowledged before this call.

        Returns:
            The index that was applied at least (Raft thesis, section 6.4).

        Raises:
            NotLeader: this manager cannot prove that it still leads.
        """
        if self._is_stopped:
            raise NotLeader("this manager stops")
        try:
            number = self._core.read_index()
        except ProposalDropped as error:
            raise NotLeader(str(error)) from error
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._reads[number] = future
        self._wake.set()
        try:
            return await future
        finally:
            self._reads.pop(number, None)

    def step(self, message: Message) -> None:
        """Take a message from another member; snapshots come by `receive_snapshot`."""
        assert not isinstance(message, InstallSnapshot)
        self._step(message)

    async def receive_snapshot(self, message: InstallSnapshot, data: bytes) -> None:
        """Take a snapshot from the leader: first to the disk, then to the core.

        Raises:
            Unavailable: this member does not run any more.
            FatalStorageError: the disk failed.
        """
        if self._is_stopped:
            raise Unavailable("this manager stops")
        loop = asyncio.get_running_loop()
        if message.snapshot.index > self._core.hard.commit:
            await loop.run_in_executor(
                self._snapshot_thread, self._storage.save_snapshot, message.snapshot, data
            )
        self._step(message)

    async def load_snapshot(self, snapshot: Snapshot) -> bytes:
        """Return the state of a snapshot that is to be sent.

        Raises:
            FatalStorageError: it is missing or damaged.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._snapshot_thread, self._storage.load_snapshot, snapshot
        )

    async def wrap_keys(self, *, with_new: bool) -> None:
        """Write the data keys as the node's lock says; `with_new`, seal with a fresh one.

        Then a snapshot follows soon, so that the log under the former key goes.

        Raises:
            FatalStorageError: the disk failed.
        """
        if self._is_stopped:
            raise Unavailable("this manager stops")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            self._log_thread, lambda: self._storage.wrap_keys(with_new=with_new)
        )
        self._is_snapshot_due = self._is_snapshot_due or with_new
        self._wake.set()

    def report_snapshot(self, peer: int, *, delivered: bool) -> None:
        """Say how the transfer of a snapshot ended."""
        self._core.report_snapshot(peer, delivered=delivered)
        self._wake.set()

    def report_unreachable(self, peer: int) -> None:
        """Say that messages to a member were lost."""
        self._core.report_unreachable(peer)

    # -- the loop ----------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._options.tick_s)
            self._core.tick()
            if self._core.has_ready():
                self._wake.set()

    async def _work(self, machine: StateMachine, group: asyncio.TaskGroup) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._core.has_ready():
                await self._handle(self._core.ready(), machine)
                self._maybe_snapshot(machine, group)
            self._maybe_snapshot(machine, group)  # one may be wanted though nothing has happened

    async def _handle(self, ready: Ready, machine: StateMachine) -> None:
        """Do what a `Ready` says, in the order it prescribes."""
        if ready.messages:
            self._peers.send(ready.messages)
        hard = ready.hard or self._unwritten_hard
        self._unwritten_hard = hard
        writing = None
        if ready.snapshot is not None:
            # Before the write: an own snapshot that is older must not be noted after this one.
            self._last_snapshot = max(self._last_snapshot, ready.snapshot.index)
        if ready.must_sync:
            self._unwritten_hard = None
            writing = asyncio.get_running_loop().run_in_executor(
                self._log_thread, self._storage.persist, ready.entries, hard, ready.snapshot
            )
        # What is committed is durable already: apply it while the disk is busy.
        self._apply(ready.committed, machine)
        if ready.soft is not None:
            self._follow_role(ready.soft, machine)
        self._answer_reads(ready.read_states)
        if writing is not None:
            await writing
        if ready.snapshot is not None:
            machine.restore(await self.load_snapshot(ready.snapshot))
        outgoing = [m for m in ready.messages_after_persist if m.to != self._core.id]
        if outgoing:
            self._peers.send(outgoing)
        self._core.advance()
        self._release_reads()

    def _apply(self, entries: Sequence[Entry], machine: StateMachine) -> None:
        for entry in entries:
            if entry.changes_members:
                self._conf_committed(entry)
            else:
                machine.apply(entry.index, entry.term, entry.data)

    def _conf_committed(self, entry: Entry) -> None:
        if self.conf != self._told_conf:  # after a restart the whole log is gone through again
            self._told_conf = self.conf
            log.info("raft members", voters=self.conf.voters, learners=self.conf.learners)
        for index, future in self._conf_changes:
            if index == entry.index and not future.done():
                future.set_result(None)
        self._conf_changes = [item for item in self._conf_changes if not item[1].done()]

    def _follow_role(self, soft: SoftState, machine: StateMachine) -> None:
        log.info("raft role", role=soft.role.value, term=soft.term, leader=soft.leader)
        if soft.role is not Role.LEADER:
            self._fail_reads("this manager is not the leader any more")
            self._fail_conf_changes("this manager ceased to lead before the members had changed")
        machine.role_changed(soft)

    # -- linearizable reads ------------------------------------------------------------------

    def _answer_reads(self, states: Sequence[ReadState]) -> None:
        for state in states:
            future = self._reads.pop(state.number, None)
            if future is not None:
                self._waiting_for_apply.append((state.index, future))

    def _release_reads(self) -> None:
        applied = self._core.log.applied
        while self._waiting_for_apply and self._waiting_for_apply[0][0] <= applied:
            index, future = self._waiting_for_apply.popleft()
            if not future.done():
                future.set_result(index)
        for index, future in self._followers_reads:
            if index <= applied and not future.done():
                future.set_result(index)

    def _fail_reads(self, why: str) -> None:
        futures = [*self._reads.values(), *(future for _, future in self._waiting_for_apply)]
        self._reads.clear()
        self._waiting_for_apply.clear()
        for future in futures:
            if not future.done():
                future.set_exception(NotLeader(why))

    def _fail_conf_changes(self, why: str) -> None:
        changes, self._conf_changes = self._conf_changes, []
        for _, future in changes:
            if not future.done():
                future.set_exception(NotLeader(why))

    # -- snapshots ---------------------------------------------------------------------------

    def _maybe_snapshot(self, machine: StateMachine, group: asyncio.TaskGroup) -> None:
        applied = self._core.log.applied
        if self._is_saving or applied == self._last_snapshot:
            return
        many = applied - self._last_snapshot >= self._options.snapshot_entries
        if not many and not self._is_snapshot_due:
            return
        snapshot = self._core.describe_applied()
        if snapshot is None:
            return
        self._is_saving = True
        self._is_snapshot_due = False
        group.create_task(self._save_snapshot(snapshot, machine.capture()))

    async def _save_snapshot(self, snapshot: Snapshot, encode: Callable[[], bytes]) -> None:
        """File first, then its place in the log, only then forget what it contains."""
        loop = asyncio.get_running_loop()

        def save() -> int:
            data = encode()
            self._storage.save_snapshot(snapshot, data)
            return len(data)

        size = await loop.run_in_executor(self._snapshot_thread, save)
        if snapshot.index > self._last_snapshot:  # else the leader sent a newer one meanwhile
            await loop.run_in_executor(
                self._log_thread, lambda: self._storage.persist(snapshot=snapshot)
            )
            self._core.compact(snapshot, self._options.kept_entries)
            self._last_snapshot = max(self._last_snapshot, snapshot.index)
            log.info("snapshot taken", index=snapshot.index, bytes=size)
        self._is_saving = False

    def _step(self, message: Message) -> None:
        if self._is_stopped:
            return
        self._heard_at_s[message.sender] = asyncio.get_running_loop().time()
        self._core.step(message)
        self._wake.set()


def _first(group: BaseExceptionGroup[FatalStorageError]) -> FatalStorageError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
