"""The data of one raft node; the verbs are in the modules beside it.

`RaftState` is mutable and private to `RaftCore`. Its methods only keep its parts consistent with
each other; every decision of the algorithm is in `election`, `append`, `snapshot`, `transfer`
and `reads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster.raft.config import Config
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.log import Log
from cluster.raft.membership import Membership
from cluster.raft.messages import (
    AppendEntries,
    CampaignNow,
    Heartbeat,
    InstallSnapshot,
    Message,
)
from cluster.raft.progress import Progress
from cluster.raft.ready import ReadState, Role, SoftState


class Dice(Protocol):
    """The only source of chance; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int:
        """Return a number from 0 to `stop` - 1."""
        ...


class RaftState:
    """Everything a node knows (Raft paper, figure 2, "State").

    Attributes:
        config: the knobs.
        log: the entries.
        membership: who takes part, as the log says.
        term: the current term.
        vote: who got this node's vote in `term`, 0 for nobody.
        role: this node's role.
        leader: the leader of `term` as far as known, 0 for unknown.
        progress: for every member, in the order of IDs, what a leader knows of it.
        votes: answers to this node's (pre-)candidacy.
        election_elapsed: ticks since a leader was heard; at a leader since the quorum was checked.
        heartbeat_elapsed: ticks since this leader's last heartbeat.
        patience: ticks after which this node campaigns; drawn again in every term.
        transferee: whom this leader hands its office to, 0 for nobody.
        uncommitted_bytes: proposed and not yet committed, at a leader.
        append_due: there are entries that were not sent yet.
        commit_due: the commit index has moved and followers were not told yet.
        heartbeat_due: reads wait for a round of heartbeats.
        newest_read: number of the newest read.
        waiting_reads: reads that are not confirmed: number to the index they must see.
        read_acks: for every member the newest read it confirmed.
        outbox: messages that may leave at once.
        promises: messages that must not leave before term, vote and entries are durable.
        read_states: reads that may be answered.
    """

    def __init__(
        self, config: Config, hard: HardState, log: Log, membership: Membership, dice: Dice
    ) -> None:
        self.config = config
        self.log = log
        self.membership = membership
        self.term = hard.term
        self.vote = hard.vote
        self.role = Role.FOLLOWER
        self.leader = 0
        self.progress: dict[int, Progress] = {}
        self.votes: dict[int, bool] = {}
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.patience = 0
        self.transferee = 0
        self.uncommitted_bytes = 0
        self.append_due = False
        self.commit_due = False
        self.heartbeat_due = False
        self.newest_read = 0
        self.waiting_reads: dict[int, int] = {}
        self.read_acks: dict[int, int] = {}
        self.outbox: list[Message] = []
        self.promises: list[Message] = []
        self.read_states: list[ReadState] = []
        self._dice = dice
        self.reset(self.term)

    @property
    def id(self) -> int:
        """This node's raft ID."""
        return self.config.id

    @property
    def conf(self) -> ConfState:
        """Who takes part now: the newest configuration of the log, committed or not."""
        return self.membership.current

    @property
    def may_campaign(self) -> bool:
        """Whether this node may stand for election at all: voters may.

        So may a voter whose removal is in its log and perhaps nowhere else. Until that entry is
        committed nobody can win against its longer log, so it has to win itself, with a majority
        that it is no part of, and finish what was begun (Raft thesis, section 4.2.2).
        """
        return self.id in self.conf.voters or self.id in self.membership.at(self.log.commit).voters

    @property
    def hard(self) -> HardState:
        """What has to survive a crash, as of now."""
        return HardState(self.term, self.vote, self.log.commit)

    @property
    def soft(self) -> SoftState:
        """Role, leader and term, as of now."""
        return SoftState(self.role, self.leader, self.term)

    def peers(self) -> list[int]:
        """Return all members but this node, in the order of their IDs."""
        return [peer for peer in self.progress if peer != self.id]

    def matched(self) -> dict[int, int]:
        """Return the highest index each member is known to hold."""
        return {peer: progress.match for peer, progress in self.progress.items()}

    def send(self, message: Message) -> None:
        """Queue a message, behind the disk where it is a promise.

        Everything is a promise but what a leader sends on its own account: its term was durable
        before it could win, and entries it sends early only count once a majority, itself
        included, has them on disk (Raft thesis, section 10.2.1).
        """
        if isinstance(message, AppendEntries | Heartbeat | InstallSnapshot | CampaignNow):
            self.outbox.append(message)
        else:
            self.promises.append(message)

    def reset(self, term: int) -> None:
        """Forget everything that belongs to a role; a new term also frees the vote."""
        if term != self.term:
            self.term = term
            self.vote = 0
        self.leader = 0
        self.votes = {}
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.draw_patience()
        self.transferee = 0
        self.uncommitted_bytes = 0
        self.append_due = False
        self.commit_due = False
        self.heartbeat_due = False
        self.waiting_reads = {}
        self.read_acks = {}
        self.rebuild_progress()

    def rebuild_progress(self) -> None:
        """Start from knowing nothing about anybody ("reinitialized after election", figure 2)."""
        self.progress = {member: self._new_progress() for member in self.conf.members}

    def append(self, entries: Sequence[Entry]) -> None:
        """Append a leader's own entries; members among them take part at once."""
        self.log.append(entries)
        if self.membership.append(entries):
            known = self.progress
            self.progress = {}
            for member in self.conf.members:
                progress = known.get(member) or self._new_progress()
                if member not in known:
                    progress.recent_active = True  # it had no time to answer yet
                self.progress[member] = progress

    def accept(self, entries: Sequence[Entry]) -> None:
        """Take a leader's entries whose predecessor matches, and the members they name."""
        new = self.log.accept(entries)
        if new:
            is_changed = self.membership.truncate(new[0].index)
            if self.membership.append(new) or is_changed:
                self.rebuild_progress()

    def restore(self, snapshot: Snapshot) -> None:
        """Replace log and members by a snapshot of the leader."""
        self.log.restore(snapshot)
        self.membership.restore(snapshot)
        self.rebuild_progress()

    def _new_progress(self) -> Progress:
        config = self.config
        return Progress(
            self.log.last_index + 1, config.max_inflight_messages, config.max_inflight_bytes
        )

    def draw_patience(self) -> None:
        """Draw a new election timeout (Raft paper, section 5.2)."""
        ticks = self.config.election_ticks
        self.patience = ticks + self._dice.randrange(ticks)
