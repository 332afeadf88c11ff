"""A few raft nodes on a table top: every step is a command, everything they do is printed.

nodes N [first=I] [lag=N] [max-append=B] [inflight=M] [pre-vote=0] [check-quorum=0] [election=T] [uncommitted=B]
campaign ID            tick ID [COUNT]        tick-election ID
propose ID TEXT...     read ID                report-snapshot ID PEER [delivered=0]
join ID                a node with an empty log, of the same settings
members ID [voters=(I,J)] [learners=(K)]  propose these members; without any, print them
transfer ID TO         hand leadership over
ready ID               take the next Ready and do everything in it
ready-begin ID         take it, send what may leave before the disk is done, stop there
ready-end ID           the disk is done: send the rest, advance
deliver ID [from=F] [keep=1]  hand ID the messages waiting for it (and keep a copy)
stabilize [ID...]      ready and deliver until nothing moves
drop ID [from=F]       lose the messages waiting for ID
crash ID               lose memory, and what the disk has not finished; start again
compact ID INDEX [keep=N]
log ID   status ID   messages
silent / loud          print nothing / everything
"""

from __future__ import annotations

import dataclasses

import msgspec

from cluster.raft.config import Config
from cluster.raft.core import ProposalDropped, RaftCore
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.messages import (
    AppendEntries,
    AppendReply,
    CampaignNow,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    VoteReply,
    VoteRequest,
)
from cluster.raft.ready import Ready, Role
from tests.support.datadriven import Command


class FixedDice:
    """Always the shortest timeout: scenarios campaign when they say so."""

    def randrange(self, stop: int, /) -> int:
        return 0


@dataclasses.dataclass
class Node:
    config: Config
    core: RaftCore
    snapshot: Snapshot
    hard: HardState = dataclasses.field(default_factory=HardState)
    entries: list[Entry] = dataclasses.field(default_factory=list)
    applied: list[str] = dataclasses.field(default_factory=list)
    outstanding: Ready | None = None

    def persist(self, ready: Ready) -> None:
        if ready.snapshot is not None:
            self.snapshot = ready.snapshot
            self.entries = []
        if ready.entries:
            keep = ready.entries[0].index - self.snapshot.index - 1
            self.entries = self.entries[:keep] + list(ready.entries)
        if ready.hard is not None:
            self.hard = ready.hard


class RaftWorld:
    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self.wire: list[Message] = []
        self.silent = False
        self.config = Config(id=1)

    def handle(self, command: Command) -> str:
        method = getattr(self, "do_" + command.name.replace("-", "_"), None)
        if method is None:
            raise ValueError(f"unknown command {command.name!r}")
        text: str = method(command) or ""
        return "" if self.silent else text

    def do_silent(self, command: Command) -> None:
        self.silent = True

    def do_loud(self, command: Command) -> None:
        self.silent = False

    def do_nodes(self, command: Command) -> None:
        (count,) = command.integers()
        self.nodes, self.wire = {}, []
        # With first=1 the group begins behind a snapshot, as a real one does.
        first = command.option("first", 0)
        start = Snapshot(first, first, ConfState(tuple(range(1, count + 1))))
        hard = HardState(first, 0, first)
        for raft_id in range(1, count + 1):
            self.config = config = Config(
                id=raft_id,
                max_learner_lag=command.option("lag", 1000),
                election_ticks=command.option("election", 10),
                max_append_bytes=command.option("max-append", 1 << 20),
                max_inflight_messages=command.option("inflight", 256),
                max_uncommitted_bytes=command.option("uncommitted", 64 << 20),
                pre_vote=bool(command.option("pre-vote", 1)),
                check_quorum=bool(command.option("check-quorum", 1)),
            )
            core = RaftCore(config, FixedDice(), start, hard)
            self.nodes[raft_id] = Node(config, core, start, hard)

    def do_join(self, command: Command) -> None:
        (raft_id,) = command.integers()
        config = msgspec.structs.replace(self.config, id=raft_id)
        self.nodes[raft_id] = Node(config, RaftCore(config, FixedDice(), Snapshot()), Snapshot())

    def do_members(self, command: Command) -> str:
        core = self.core(command)
        if not command.options:
            pending = "" if core.is_conf_committed else ", not committed"
            return f"{core.id}: {describe_conf(core.conf)}{pending}"
        voters, learners = command.option_list("voters"), command.option_list("learners")
        try:
            core.propose_conf(ConfState(tuple(voters), tuple(learners)))
        except ProposalDropped as error:
            return f"dropped: {error}"
        return ""

    def do_transfer(self, command: Command) -> str:
        try:
            self.core(command).transfer_leadership(int(command.args[1]))
        except ProposalDropped as error:
            return f"dropped: {error}"
        return ""

    def do_campaign(self, command: Command) -> None:
        self.core(command).campaign()

    def do_tick(self, command: Command) -> None:
        count = int(command.args[1]) if len(command.args) > 1 else 1
        for _ in range(count):
            self.core(command).tick()

    def do_tick_election(self, command: Command) -> None:
        for _ in range(self.node(command).config.election_ticks):
            self.core(command).tick()

    def do_propose(self, command: Command) -> str:
        try:
            self.core(command).propose([text.encode() for text in command.args[1:]])
        except ProposalDropped as error:
            return f"dropped: {error}"
        return ""

    def do_read(self, command: Command) -> str:
        try:
            return f"read {self.core(command).read_index()}"
        except ProposalDropped as error:
            return f"dropped: {error}"

    def do_report_snapshot(self, command: Command) -> None:
        delivered = bool(command.option("delivered", 1))
        self.core(command).report_snapshot(int(command.args[1]), delivered=delivered)

    def do_ready(self, command: Command) -> str:
        return self.process(int(command.args[0]))

    def process(self, raft_id: int) -> str:
        return "\n".join(filter(None, [self.begin(raft_id), self.end(raft_id)]))

    def do_ready_begin(self, command: Command) -> str:
        return self.begin(int(command.args[0]))

    def do_ready_end(self, command: Command) -> str:
        return self.end(int(command.args[0]))

    def begin(self, raft_id: int) -> str:
        node = self.nodes[raft_id]
        if not node.core.has_ready():
            return f"{raft_id}: nothing to do"
        ready = node.outstanding = node.core.ready()
        self.wire.extend(ready.messages)
        node.applied.extend(
            entry.data.decode()
            for entry in ready.committed
            if entry.data and not entry.changes_members
        )
        return f"{raft_id}: ready\n" + "\n".join(describe_ready(ready))

    def end(self, raft_id: int) -> str:
        node = self.nodes[raft_id]
        if node.outstanding is None:
            return ""
        node.persist(node.outstanding)
        self.wire.extend(m for m in node.outstanding.messages_after_persist if m.to != raft_id)
        node.outstanding = None
        node.core.advance()
        return ""

    def do_deliver(self, command: Command) -> str:
        raft_id = int(command.args[0])
        before = list(self.wire)
        lines = self.deliver(raft_id, self.take(command))
        if command.option("keep", 0):
            self.wire = before
        return "\n".join(lines)

    def deliver(self, raft_id: int, messages: list[Message]) -> list[str]:
        lines = []
        for message in messages:
            lines.append(f"{raft_id}: receives {describe_message(message)}")
            self.nodes[raft_id].core.step(message)
        return lines

    def do_stabilize(self, command: Command) -> str:
        chosen = command.integers() or list(self.nodes)
        lines: list[str] = []
        moved = True
        while moved:
            moved = False
            for raft_id in chosen:
                if self.nodes[raft_id].core.has_ready():
                    lines.append(self.process(raft_id))
                    moved = True
            for raft_id in chosen:
                waiting = [m for m in self.wire if m.to == raft_id]
                self.wire = [m for m in self.wire if m.to != raft_id]
                lines.extend(self.deliver(raft_id, waiting))
                moved = moved or bool(waiting)
        return "\n".join(lines)

    def do_drop(self, command: Command) -> str:
        return "\n".join(f"lost {describe_message(m)}" for m in self.take(command))

    def do_crash(self, command: Command) -> None:
        node = self.node(command)
        node.outstanding = None
        node.core = RaftCore(node.config, FixedDice(), node.snapshot, node.hard, node.entries)

    def do_compact(self, command: Command) -> None:
        node = self.node(command)
        taken = node.core.describe_applied()
        assert taken is not None
        node.entries = [entry for entry in node.entries if entry.index > taken.index]
        node.snapshot = taken
        node.core.compact(taken, command.option("keep", 0))

    def do_log(self, command: Command) -> str:
        log = self.core(command).log
        lines = [f"from {log.first_index}, commit {log.commit}, applied {log.applied}"]
        lines.extend(
            describe_entry(entry) for entry in log.between(log.first_index - 1, log.last_index)
        )
        return "\n".join(lines)

    def do_applied(self, command: Command) -> str:
        return " ".join(self.node(command).applied)

    def do_status(self, command: Command) -> str:
        core = self.core(command)
        soft, hard = core.soft, core.hard
        lines = [
            f"{core.id}: {soft.role.value}, term {hard.term}, vote {hard.vote}, leader {soft.leader}, commit {hard.commit}"
        ]
        if soft.role is Role.LEADER:
            for peer, progress in core.progress.items():
                notes = [f"match {progress.match}, next {progress.next}"]
                if progress.is_paused:
                    notes.append("paused")
                if progress.inflight_messages:
                    notes.append(f"{progress.inflight_messages} in flight")
                lines.append(f"  {peer}: {progress.mode.value}, {', '.join(notes)}")
        return "\n".join(lines)

    def do_messages(self, command: Command) -> str:
        return "\n".join(describe_message(message) for message in self.wire)

    def take(self, command: Command) -> list[Message]:
        raft_id, sender = int(command.args[0]), command.option("from", 0)
        taken = [m for m in self.wire if m.to == raft_id and sender in (0, m.sender)]
        self.wire = [m for m in self.wire if m.to != raft_id or sender not in (0, m.sender)]
        return taken

    def node(self, command: Command) -> Node:
        return self.nodes[int(command.args[0])]

    def core(self, command: Command) -> RaftCore:
        return self.node(command).core


def describe_conf(conf: ConfState) -> str:
    text = "voters " + ",".join(map(str, conf.voters))
    if conf.learners:
        text += " learners " + ",".join(map(str, conf.learners))
    return text


def describe_entry(entry: Entry) -> str:
    if entry.changes_members:
        conf = msgspec.msgpack.decode(entry.data, type=ConfState)
        return f"{entry.index}/{entry.term} ({describe_conf(conf)})"
    return f"{entry.index}/{entry.term} {entry.data.decode() or '(no-op)'}"


def describe_entries(entries: tuple[Entry, ...]) -> str:
    return "[" + ", ".join(describe_entry(entry) for entry in entries) + "]"


def describe_message(message: Message) -> str:
    def text(name: str, facts: str) -> str:
        return f"{message.sender}->{message.to} {name} term {message.term} {facts}".rstrip()

    match message:
        case VoteRequest(last_index=index, last_term=term, pre_vote=pre, is_transfer=asked):
            name = "pre-vote?" if pre else "vote?"
            return text(name, f"last {index}/{term}" + (" by request" if asked else ""))
        case VoteReply(granted=granted, pre_vote=pre):
            return text("pre-vote" if pre else "vote", "yes" if granted else "no")
        case AppendEntries(prev_index=index, prev_term=term, commit=commit, entries=entries):
            return text(
                "append", f"after {index}/{term} commit {commit} {describe_entries(entries)}"
            )
        case AppendReply(rejected=True):
            return text("refused", f"{message.index} hint {message.hint_index}/{message.hint_term}")
        case AppendReply(index=index):
            return text("accepted", f"{index}")
        case Heartbeat(commit=commit, read_number=number):
            return text("heartbeat", f"commit {commit}" + (f" read {number}" if number else ""))
        case HeartbeatReply(read_number=number):
            return text("alive", f"read {number}" if number else "")
        case InstallSnapshot(snapshot=snapshot):
            return text("snapshot", f"{snapshot.index}/{snapshot.term}")
        case CampaignNow():
            return text("campaign-now", "")


def describe_ready(ready: Ready) -> list[str]:
    lines = []
    if ready.soft is not None:
        lines.append(f"  {ready.soft.role.value}, leader {ready.soft.leader}")
    if ready.snapshot is not None:
        lines.append(f"  install {ready.snapshot.index}/{ready.snapshot.term}")
    if ready.entries:
        lines.append(f"  write {describe_entries(ready.entries)}")
    if ready.hard is not None:
        hard = ready.hard
        lines.append(f"  write term {hard.term} vote {hard.vote} commit {hard.commit}")
    if ready.must_sync:
        lines.append("  sync")
    if ready.committed:
        lines.append(f"  apply {describe_entries(ready.committed)}")
    lines.extend(f"  answer read {read.number} at {read.index}" for read in ready.read_states)
    lines.extend(f"  send {describe_message(message)}" for message in ready.messages)
    lines.extend(
        f"  send after the disk {describe_message(message)}"
        for message in ready.messages_after_persist
        if message.to != message.sender
    )
    return lines
