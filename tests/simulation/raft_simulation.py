"""A raft group in virtual time, with a bad network and bad disks, from one seed.

Everything random comes from the seed, so a failing seed repeats itself. The seed also chooses
the configuration and how bad things are: fixed rates would hide whole families of bugs.

Checked after every step: election safety, leader completeness, state machine safety, no
acknowledged read behind a commit it must see, members that change one at a time and never twice
before the first is committed; at the end log matching and, after everything is healed, that the
group agrees and works, however often those who were removed ask for votes (Raft paper, figure 3;
thesis, chapter 4).
"""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import random
import zlib
from collections.abc import Callable

from cluster.raft.config import Config
from cluster.raft.core import ProposalDropped, RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.membership import Membership
from cluster.raft.messages import InstallSnapshot, Message
from cluster.raft.ready import Ready, Role

TICK = 10.0
MAX_NODES = 9
# A group begins behind entry 1: whoever joins with an empty log can only begin with a snapshot.
FIRST = Entry(1, 1)


@dataclasses.dataclass
class Disk:
    """What survives a crash."""

    snapshot: Snapshot
    hard: HardState = dataclasses.field(default_factory=HardState)
    entries: list[Entry] = dataclasses.field(default_factory=list)

    def write(self, ready: Ready, parts: int | None = None) -> None:
        """Write a batch, or only its first `parts` records: the write was torn."""
        records: list[Callable[[], None]] = []
        if ready.snapshot is not None:
            records.append(lambda: self._install(ready.snapshot))
        records += [lambda entry=entry: self._put(entry) for entry in ready.entries]
        if ready.hard is not None:
            records.append(lambda: setattr(self, "hard", ready.hard))
        for record in records[:parts]:
            record()

    def _install(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.entries = []

    def _put(self, entry: Entry) -> None:
        del self.entries[entry.index - self.snapshot.index - 1 :]
        assert entry.index == self.snapshot.index + len(self.entries) + 1
        self.entries.append(entry)


@dataclasses.dataclass
class Node:
    id: int
    disk: Disk
    config: Config
    core: RaftCore | None = None
    life: int = 0  # counts restarts: events of an earlier life are void
    applied: int = 0
    digest: int = 0  # of everything applied
    last_term: int = 0
    pace: float = 1.0
    reads: dict[int, int] = dataclasses.field(default_factory=dict)
    outstanding: Ready | None = None


class Simulation:
    def __init__(self, seed: int, *, changeable: bool = False) -> None:
        """Draw a group.

        Args:
            seed: decides everything.
            changeable: draw from groups whose members change all the time.
        """
        self.rng = rng = random.Random(seed)
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.counter = 0
        self.count = rng.choice([3, 3, 5])
        self.loss = rng.choice([0.0, 0.02, 0.1, 0.3])
        self.repeats = rng.choice([0.0, 0.05, 0.2])
        self.delay = rng.choice([1.0, 5.0, 30.0])
        self.sync = rng.choice([0.5, 5.0, 30.0])
        self.leader_crashes = rng.choice([0.0, 0.0, 0.03, 0.1])
        self.down = rng.choice([20.0, 100.0, 300.0])
        self.crashes = rng.choice([0.0, 0.002, 0.01])
        self.cuts = rng.choice([0.0, 0.002, 0.01])
        self.compaction = rng.choice([3, 10, 1000])
        self.proposal_rate = rng.choice([0.1, 0.5, 1.0])
        self.changes = rng.choice(
            [0.0, 0.02, 0.1, 0.5]
        )  # of the members, for each tick of a leader
        self.transfers = rng.choice([0.0, 0.0, 0.02])
        self.nervous = rng.choice([0.0, 0.0, 0.02])  # a leader crashes on a message
        self.skew = rng.choice([1.0, 1.0, 1.5])  # clocks run up to this much too fast or slow
        knobs = {
            "max_inflight_bytes": rng.choice([1, 1 << 20]),
            "max_learner_lag": rng.choice([0, 2, 1000]),
            "max_append_bytes": rng.choice([1, 8, 1 << 20]),
            "max_inflight_messages": rng.choice([1, 2, 256]),
            "pre_vote": rng.random() < 0.7,
            "check_quorum": rng.random() < 0.7,
        }
        if rng.random() < 0.1:
            # Leaders change before they commit (Raft paper, figure 8).
            self.count, self.delay, self.loss, self.compaction = 5, 8.0, 0.0, 1000
            self.sync, self.proposal_rate, self.down = 0.5, 0.1, 30.0
            self.nervous = rng.choice([0.03, 0.1, 0.3])
            knobs |= {"max_append_bytes": 1, "max_inflight_messages": 1, "election_ticks": 4}
            knobs |= {"pre_vote": False, "check_quorum": False}
        if changeable:
            self.count, self.changes, self.loss = rng.choice([2, 4, 4]), 0.7, 0.0
        self.knobs = knobs
        first_conf = ConfState(tuple(range(1, self.count + 1)))
        start = Snapshot(FIRST.index, FIRST.term, first_conf)
        hard = HardState(FIRST.term, 0, FIRST.index)
        self.nodes = {
            i: Node(i, Disk(start, hard), Config(id=i, **knobs)) for i in range(1, self.count + 1)
        }
        self.cut: set[tuple[int, int]] = set()
        # The digest of each snapshot.
        self.states: dict[tuple[int, int], int] = {(0, 0): 0, (FIRST.index, FIRST.term): 0}
        self.leaders: dict[int, int] = {}
        self.committed: list[Entry] = [FIRST]
        self.members = Membership(start, ())  # as committed
        self.proposals = 0
        self.proposed_confs = 0
        self.healing = False
        self.goal = 0
        for node in self.nodes.values():
            self.start(node)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.check_logs_match()

    def step(self) -> None:
        self.now, _, action = heapq.heappop(self.events)
        action()

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self.counter += 1
        heapq.heappush(self.events, (self.now + delay, self.counter, action))

    # -- nodes -------------------------------------------------------------------------------

    def start(self, node: Node) -> None:
        node.life += 1
        disk = node.disk
        node.core = RaftCore(node.config, self.rng, disk.snapshot, disk.hard, list(disk.entries))
        node.applied = disk.snapshot.index
        node.digest = self.states[disk.snapshot.index, disk.snapshot.term]
        node.outstanding = None
        node.reads = {}
        node.pace = self.rng.uniform(1 / self.skew, self.skew)
        self.at(self.rng.uniform(0, TICK), self.alive(node, lambda: self.tick(node)))

    def alive(self, node: Node, action: Callable[[], None]) -> Callable[[], None]:
        life = node.life

        def guarded() -> None:
            if node.core is not None and node.life == life:
                action()

        return guarded

    def tick(self, node: Node) -> None:
        node.core.tick()
        self.at(
            TICK * node.pace * self.rng.uniform(0.8, 1.2), self.alive(node, lambda: self.tick(node))
        )
        if not self.healing:
            self.misfortune(node)
            if node.core is None:
                return
        wanted = not self.healing or node.core.log.last_index < self.goal
        if wanted and node.core.soft.role is Role.LEADER and self.rng.random() < self.proposal_rate:
            self.use(node)
        if not self.healing and node.core.soft.role is Role.LEADER:
            if self.rng.random() < self.changes:
                self.change_members(node)
            if self.rng.random() < self.transfers:
                self.hand_over(node)
        self.pump(node)

    def change_members(self, node: Node) -> None:
        """Add, promote, demote or remove somebody."""
        voters, learners = set(node.core.conf.voters), set(node.core.conf.learners)
        match self.rng.choice(["add", "promote", "promote", "demote", "remove"]):
            case "add" if len(self.nodes) < MAX_NODES:
                joiner = max(self.nodes) + 1
                config = Config(id=joiner, **self.knobs)
                self.nodes[joiner] = Node(joiner, Disk(Snapshot()), config)
                self.start(self.nodes[joiner])
                learners.add(joiner)
            case "promote" if learners:
                chosen = self.rng.choice(sorted(learners))
                learners.remove(chosen)
                voters.add(chosen)
            case "demote" if len(voters) > 1:
                chosen = self.rng.choice(sorted(voters))
                voters.remove(chosen)
                learners.add(chosen)
            case "remove" if len(voters | learners) > 2:
                chosen = self.rng.choice(sorted(voters | learners))
                voters.discard(chosen)
                learners.discard(chosen)
        with contextlib.suppress(ProposalDropped):
            node.core.propose_conf(ConfState(tuple(sorted(voters)), tuple(sorted(learners))))
            self.proposed_confs += 1

    def hand_over(self, node: Node) -> None:
        with contextlib.suppress(ProposalDropped):
            node.core.transfer_leadership(self.rng.choice(node.core.conf.voters))

    def misfortune(self, node: Node) -> None:
        leads = node.core.soft.role is Role.LEADER
        if self.rng.random() < self.crashes + leads * self.leader_crashes:
            self.crash(node)
            return
        if self.rng.random() < self.cuts:
            a, b = self.rng.sample(list(self.nodes), 2)
            self.cut.add((a, b))
            if self.rng.random() < 0.7:
                self.cut.add((b, a))
            self.at(self.rng.expovariate(1 / 500), self.cut.clear)
        if self.rng.random() < self.cuts / 2:  # cut one node off
            others = [other for other in self.nodes if other != node.id]
            self.cut |= {(node.id, other) for other in others} | {(o, node.id) for o in others}
            self.at(self.rng.expovariate(1 / 500), self.cut.clear)

    def crash(self, node: Node) -> None:
        if node.outstanding is not None:
            ready = node.outstanding
            node.disk.write(ready, self.rng.randint(0, len(ready.entries) + 2))
        node.core = None
        node.life += 1
        self.at(
            self.rng.expovariate(1 / self.down),
            lambda: self.start(node) if node.core is None and node.life > 0 else None,
        )

    def use(self, node: Node) -> None:
        try:
            batch = self.rng.choice([1, 1, 3])
            self.proposals += batch
            node.core.propose([b"%d" % (self.proposals - i) for i in range(batch)])
            if self.rng.random() < 0.3:
                must_see = len(self.committed)
                node.reads[node.core.read_index()] = must_see
        except ProposalDropped:
            pass

    # -- Ready -------------------------------------------------------------------------------

    def pump(self, node: Node) -> None:
        while node.outstanding is None and node.core.has_ready():
            ready = node.core.ready()
            self.check_leader(node)
            self.send(ready.messages)
            for entry in ready.committed:
                self.apply(node, entry)
            for read in ready.read_states:
                assert read.index >= node.reads.pop(read.number), "a read misses a commit"
            node.outstanding = ready
            if ready.must_sync:
                delay = self.rng.expovariate(1 / self.sync)
                self.at(delay, self.alive(node, lambda: self.finish(node)))
                return
            self.complete(node)

    def finish(self, node: Node) -> None:
        self.complete(node)
        self.pump(node)

    def complete(self, node: Node) -> None:
        ready = node.outstanding
        node.disk.write(ready)
        if ready.snapshot is not None:
            assert ready.snapshot.conf == self.members.at(ready.snapshot.index)
            node.applied = ready.snapshot.index
            node.digest = self.states[ready.snapshot.index, ready.snapshot.term]
        self.send([m for m in ready.messages_after_persist if m.to != node.id])
        node.outstanding = None
        node.core.advance()
        self.check_leader(node)
        log = node.core.log
        assert log.applied <= log.commit <= log.last_index
        assert node.disk.hard.term >= node.last_term, "the durable term went back"
        node.last_term = node.disk.hard.term
        if log.applied - node.disk.snapshot.index >= self.compaction:
            taken = node.core.describe_applied()
            if taken is None:
                return
            self.states[taken.index, taken.term] = node.digest
            node.disk.entries = [e for e in node.disk.entries if e.index > taken.index]
            node.disk.snapshot = taken
            node.core.compact(taken, self.rng.choice([0, 2]))

    def apply(self, node: Node, entry: Entry) -> None:
        assert entry.index == node.applied + 1, "entries are applied in order"
        if entry.index > len(self.committed):
            self.committed.append(entry)
            before = set(self.members.current.voters)
            if self.members.append([entry]):
                changed = before ^ set(self.members.current.voters)
                assert len(changed) <= 1, "two voters changed at once"
                if self.healing:
                    self.at(0.0, self.turn_off_removed)
        assert self.committed[entry.index - 1] == entry, "two entries were committed at one index"
        node.applied = entry.index
        node.digest = zlib.crc32(entry.data, node.digest)

    # -- network -----------------------------------------------------------------------------

    def send(self, messages: list[Message] | tuple[Message, ...]) -> None:
        for message in messages:
            copies = 1 + (self.rng.random() < self.repeats)
            lost = self.rng.random() < self.loss or (message.sender, message.to) in self.cut
            if lost and not self.healing:
                self.report(message, delivered=False)
                continue
            for _ in range(copies):
                delay = self.rng.expovariate(1 / self.delay)
                self.at(delay, lambda message=message: self.deliver(message))

    def deliver(self, message: Message) -> None:
        node = self.nodes[message.to]
        if node.core is None:
            self.report(message, delivered=False)
            return
        node.core.step(message)
        self.check_leader(node)
        self.report(message, delivered=True)
        self.pump(node)
        leads = node.core.soft.role is Role.LEADER
        if leads and not self.healing and self.rng.random() < self.nervous:
            self.crash(node)

    def report(self, message: Message, *, delivered: bool) -> None:
        """Tell the sender of a snapshot how it went."""
        if isinstance(message, InstallSnapshot):
            sender = self.nodes[message.sender]

            def tell() -> None:
                sender.core.report_snapshot(message.to, delivered=delivered)
                self.pump(sender)

            self.at(self.delay, self.alive(sender, tell))

    # -- checks ------------------------------------------------------------------------------

    def check_leader(self, node: Node) -> None:
        soft = node.core.soft
        if soft.role is not Role.LEADER:
            return
        if soft.term in self.leaders:
            assert self.leaders[soft.term] == node.id, f"two leaders in term {soft.term}"
            return
        self.leaders[soft.term] = node.id
        log = node.core.log
        open_changes = [
            entry
            for entry in log.between(log.first_index - 1, log.last_index)
            if entry.changes_members and entry.index > len(self.committed)
        ]
        assert len(open_changes) <= 1, "two changes of the members are not committed"
        for entry in self.committed[log.first_index - 1 :]:
            assert log.matches(entry.index, entry.term), "a leader lacks a committed entry"

    def check_logs_match(self) -> None:
        logs = [node.core.log for node in self.nodes.values() if node.core is not None]
        for a in logs:
            for b in logs:
                first = max(a.first_index, b.first_index)
                last = min(a.last_index, b.last_index)
                if last < first:
                    continue
                left, right = a.between(first - 1, last), b.between(first - 1, last)
                same = [x.term == y.term for x, y in zip(left, right, strict=True)]
                agreed = max((i for i, equal in enumerate(same) if equal), default=-1) + 1
                assert left[:agreed] == right[:agreed], "logs differ before an entry they share"

    def heal(self) -> None:
        """Stop all misfortune: the group must find a leader and agree on everything."""
        self.healing = True
        self.cut.clear()
        self.turn_off_removed()
        self.goal = len(self.committed) + 3
        deadline = self.now + 1000 * TICK * (1 + self.delay)
        while len(self.committed) < self.goal or not self.agree():
            assert self.now < deadline, "the healed group makes no progress"
            self.step()
        self.check_logs_match()

    def turn_off_removed(self) -> None:
        """Without check-quorum only an operator keeps them from raising everybody's term.

        Who was removed and does not know it yet believes in members that were removed as well:
        those are no reason to leave anybody on.
        """
        if self.knobs["check_quorum"]:
            return
        wanted: set[int] = set()
        found = set(self.members.current.members)
        while found:
            wanted |= found
            nodes = [self.nodes[raft_id] for raft_id in found]
            found = {
                member
                for node in nodes
                for conf in (
                    Membership(node.disk.snapshot, node.disk.entries).current,
                    ConfState() if node.core is None else node.core.conf,
                )
                for member in conf.members
            } - wanted
        for raft_id in set(self.nodes) - wanted:
            self.nodes[raft_id].core = None
            self.nodes[raft_id].life = -1

    def agree(self) -> bool:
        """Say whether everybody is up and has applied all; then the states must be equal."""
        nodes = [self.nodes[member] for member in self.members.current.members]
        if any(node.core is None or node.applied < len(self.committed) for node in nodes):
            return False
        assert len({node.digest for node in nodes}) == 1, "equal logs, different states"
        return True
