"""The raft node: messages, ticks and proposals in, `Ready` out.

`RaftCore` does nothing itself: no disk, no network, no clock, no dice of its own. That makes
every schedule of events repeatable, so that behaviour is tested as text (tests/scenarios/raft)
and by simulation (tests/simulation).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.raft import append, election, reads, snapshot, transfer
from cluster.raft.config import Config
from cluster.raft.entry import ConfState, Entry, HardState, Snapshot
from cluster.raft.log import Log
from cluster.raft.membership import Membership, refusal
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
from cluster.raft.progress import Progress, SendMode
from cluster.raft.ready import Ready, Role, SoftState
from cluster.raft.state import Dice, RaftState


class ProposalDropped(Exception):
    """A proposal or read was refused and certainly has no effect; the message says why."""


class RaftCore:
    """One member of a raft group."""

    def __init__(
        self,
        config: Config,
        dice: Dice,
        snapshot: Snapshot,
        hard: HardState = HardState(),  # noqa: B008 - it is frozen
        entries: Sequence[Entry] = (),
    ) -> None:
        """Start as a follower from what the disk holds.

        Args:
            config: the knobs.
            dice: draws election timeouts.
            snapshot: the newest snapshot, whose state the state machine has loaded. A new
                group starts from one that all its first members share and that names them; a
                node that joins later starts from the empty one.
            hard: the last hard state.
            entries: all entries behind the snapshot.
        """
        log = Log(snapshot, entries, hard.commit)
        self._state = RaftState(config, hard, log, Membership(snapshot, entries), dice)
        self._outstanding: Ready | None = None
        self._told_soft = SoftState(Role.FOLLOWER, 0, hard.term)
        self._told_hard = self._state.hard

    # -- what is known -----------------------------------------------------------------------

    @property
    def id(self) -> int:
        """This node's raft ID."""
        return self._state.id

    @property
    def soft(self) -> SoftState:
        """Role, leader and term."""
        return self._state.soft

    @property
    def hard(self) -> HardState:
        """Term, vote and commit index, which may not be durable yet."""
        return self._state.hard

    @property
    def conf(self) -> ConfState:
        """Who takes part: the newest configuration in the log (Raft thesis, section 4.1)."""
        return self._state.conf

    @property
    def is_conf_committed(self) -> bool:
        """Whether that configuration is committed, so that it stays."""
        state = self._state
        return state.membership.index <= state.log.commit

    @property
    def log(self) -> Log:
        """The log, to read."""
        return self._state.log

    @property
    def progress(self) -> dict[int, Progress]:
        """What a leader knows of each member, to read."""
        return self._state.progress

    def is_caught_up(self, learner: int) -> bool:
        """Say whether this leader would make a learner a voter (Raft thesis, 4.2.1)."""
        state = self._state
        progress = state.progress.get(learner)
        return (
            progress is not None
            and progress.mode is SendMode.REPLICATE
            and state.log.last_index - progress.match <= state.config.max_learner_lag
        )

    @property
    def may_read(self) -> bool:
        """Whether this leader has committed an entry of its term (thesis, 6.4, step 1).

        Before that it may not know yet what its predecessors committed.
        """
        state = self._state
        return state.role is Role.LEADER and state.log.matches(state.log.commit, state.term)

    # -- what goes in ------------------------------------------------------------------------

    def tick(self) -> None:
        """Let one tick pass."""
        if self._state.role is Role.LEADER:
            election.tick_leader(self._state)
        else:
            election.tick_election(self._state)

    def campaign(self) -> None:
        """Try to become leader now, without waiting for the timeout."""
        election.campaign(self._state)

    def propose(self, datas: Sequence[bytes]) -> int:
        """Append entries to the log of the leader (Raft paper, section 5.3).

        Args:
            datas: one or more entries; none may be empty, that is the no-op's mark.

        Returns:
            The index of the first; the others follow. Whether they are committed shows in
            `Ready.committed`: an entry at that index but of another term has replaced them.

        Raises:
            ProposalDropped: not the leader, or too much is uncommitted.
        """
        state = self._state
        assert datas
        assert all(datas), "an empty entry is the no-op's mark"
        self._check_may_propose()
        size = sum(len(data) for data in datas)
        limit = state.config.max_uncommitted_bytes
        if state.uncommitted_bytes and state.uncommitted_bytes + size > limit:
            raise ProposalDropped(
                f"{state.uncommitted_bytes} bytes wait to be committed and {size} more would "
                f"exceed {limit}: try again later"
            )
        first = state.log.last_index + 1
        append.append_own(state, datas)
        return first

    def propose_conf(self, conf: ConfState) -> int:
        """Propose the next configuration: one member added, promoted, demoted or removed.

        It is in force at once and stays when it is committed (Raft thesis, section 4.1). A
        leader that removes itself leads until then and steps down (4.2.2).

        Args:
            conf: the wanted members. A new one should start as a learner; promoting a learner
                that lacks too many entries is refused (4.2.1).

        Returns:
            The index of its entry.

        Raises:
            ProposalDropped: not the leader; nothing of its term is committed yet (the known
                error of one-at-a-time changes, see `membership`); another change is not
                committed yet; more than one member differs; or a learner is too far behind.
        """
        state = self._state
        self._check_may_propose()
        if not self.may_read:
            raise ProposalDropped("no entry of this leader's term is committed yet: try again")
        if not self.is_conf_committed:
            raise ProposalDropped("another change of the members is not committed yet: try again")
        reason = refusal(state.conf, conf)
        if reason is not None:
            raise ProposalDropped(f"members: {reason}")
        for member in conf.voters:
            if member in state.conf.learners and not self.is_caught_up(member):
                lag = state.log.last_index - state.progress[member].match
                raise ProposalDropped(f"learner {member} lacks {lag} entries: try again later")
        append.append_conf(state, conf)
        return state.log.last_index

    def transfer_leadership(self, to: int) -> None:
        """Hand leadership over to `to` (Raft thesis, section 3.10).

        Proposals are refused until it has taken over, which `Ready.soft` tells, or an election
        timeout has passed without.

        Raises:
            ProposalDropped: not the leader, `to` is no other voter, or somebody else is just
                taking over.
        """
        state = self._state
        if state.role is Role.LEADER and state.transferee == to:
            return
        self._check_may_propose()
        if to == state.id or to not in state.conf.voters:
            raise ProposalDropped(f"raft node {to} is no other voter")
        transfer.begin(state, to)

    def _check_may_propose(self) -> None:
        state = self._state
        if state.role is not Role.LEADER:
            raise ProposalDropped(f"raft node {state.id} is not the leader")
        if state.transferee:
            raise ProposalDropped(f"leadership goes over to raft node {state.transferee}")

    def read_index(self) -> int:
        """Begin a linearizable read; its number comes back in `Ready.read_states`.

        A read whose leader is deposed never comes back: end it when `Ready.soft` says so.

        Raises:
            ProposalDropped: not the leader, or nothing is committed in its term yet.
        """
        state = self._state
        if not self.may_read:
            raise ProposalDropped(f"raft node {state.id} is not a leader with a committed entry")
        number = reads.begin(state)
        state.heartbeat_due = bool(state.waiting_reads)
        return number

    def report_snapshot(self, peer: int, *, delivered: bool) -> None:
        """Say how the transfer of a snapshot to `peer` ended."""
        if self._state.role is Role.LEADER:
            snapshot.handle_report(self._state, peer, delivered=delivered)

    def report_unreachable(self, peer: int) -> None:
        """Say that a message to `peer` was lost: stop sending to it without answers."""
        progress = self._state.progress.get(peer)
        if progress is not None and progress.mode is SendMode.REPLICATE:
            progress.probe()

    def step(self, message: Message) -> None:
        """Take a message from another member (or from itself, see `advance`)."""
        state = self._state
        if message.term > state.term:
            if not self._enter_term(message):
                return
        elif message.term < state.term:
            self._answer_stale(message)
            return
        match message:
            case VoteRequest():
                election.handle_vote_request(state, message)
            case VoteReply():
                election.handle_vote_reply(state, message)
            case AppendEntries() | Heartbeat() | InstallSnapshot():
                self._follow(message)
            case AppendReply():
                if state.role is Role.LEADER:
                    append.handle_append_reply(state, message)
                    transfer.follow_up(state)
            case HeartbeatReply():
                if state.role is Role.LEADER:
                    append.handle_heartbeat_reply(state, message)
            case CampaignNow():
                election.campaign(state, is_transfer=True)

    # -- what comes out ----------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Say whether `ready` would hold anything; never while one is outstanding."""
        state = self._state
        log = state.log
        return self._outstanding is None and (
            log.stable < log.last_index
            or state.heartbeat_due
            or bool(state.promises or state.outbox or state.read_states)
            or state.hard != self._told_hard
            or state.soft != self._told_soft
            or log.unstable_snapshot is not None
            or bool(log.to_apply())
        )

    def ready(self) -> Ready:
        """Hand out all work there is; `advance` must follow before the next call."""
        assert self._outstanding is None, "ready() before advance()"
        state = self._state
        log = state.log
        append.send_due(state)
        soft, hard = state.soft, state.hard
        entries = log.unstable()
        committed = log.to_apply()
        if entries and state.role is Role.LEADER:
            # The leader acknowledges to itself like any follower, once the entries are durable.
            state.send(
                AppendReply(sender=state.id, to=state.id, term=state.term, index=entries[-1].index)
            )
        hard_changed = hard != self._told_hard
        told = self._told_hard
        ready = Ready(
            soft=soft if soft != self._told_soft else None,
            hard=hard if hard_changed else None,
            entries=entries,
            snapshot=log.unstable_snapshot,
            committed=committed,
            messages=tuple(state.outbox),
            messages_after_persist=tuple(state.promises),
            read_states=tuple(state.read_states),
            must_sync=bool(entries)
            or log.unstable_snapshot is not None
            or (hard.term, hard.vote) != (told.term, told.vote),
        )
        state.outbox, state.promises, state.read_states = [], [], []
        self._told_soft, self._told_hard = soft, hard
        if committed:
            log.handed_out = committed[-1].index
        self._outstanding = ready
        return ready

    def advance(self) -> None:
        """Note that everything in the last `Ready` is done.

        Only now the node's own vote and acknowledgement count, like those of the others.
        Messages in `Ready.messages_after_persist` addressed to this node are delivered here.
        """
        ready = self._outstanding
        assert ready is not None, "advance() without ready()"
        self._outstanding = None
        state = self._state
        if ready.snapshot is not None:
            state.log.snapshot_stable(ready.snapshot)
        if ready.entries:
            last = ready.entries[-1]
            state.log.stable_to(last.index, last.term)
        if ready.committed:
            state.log.applied = max(state.log.applied, ready.committed[-1].index)
            size = sum(len(entry.data) for entry in ready.committed)
            state.uncommitted_bytes = max(0, state.uncommitted_bytes - size)
        for message in ready.messages_after_persist:
            if message.to == state.id:
                self.step(message)

    # -- compaction --------------------------------------------------------------------------

    def describe_applied(self) -> Snapshot | None:
        """Describe a snapshot of the state machine as it is now (Raft paper, section 7).

        Returns:
            Its place in the log, to be given to `compact` once it is durable; None while a
            snapshot from the leader is about to replace that state.
        """
        log = self._state.log
        if log.unstable_snapshot is not None:
            return None
        return log.describe_applied(self._state.membership.at(log.applied))

    def compact(self, taken: Snapshot, keep: int) -> None:
        """Drop entries contained in a snapshot that is durable (Raft paper, section 7).

        Args:
            taken: the snapshot, which is from now on what followers too far behind are sent.
            keep: number of entries at its end to keep for those only a little behind.
        """
        self._state.log.compact(taken, keep)
        self._state.membership.compact(taken.index)

    # -- terms -------------------------------------------------------------------------------

    def _enter_term(self, message: Message) -> bool:
        """Meet a higher term (Raft paper, section 5.1); say whether to go on with the message."""
        state = self._state
        match message:
            case VoteRequest() if election.honours_lease(state, message):
                return False
            case VoteRequest(pre_vote=True):
                return True  # asks about a term that does not exist yet
            case VoteReply(pre_vote=True, granted=True):
                return True  # carries the term this node asked about
            case AppendEntries() | Heartbeat() | InstallSnapshot() | CampaignNow():
                election.become_follower(state, message.term, message.sender)
            case VoteRequest() | VoteReply() | AppendReply() | HeartbeatReply():
                election.become_follower(state, message.term, 0)
        return True

    def _answer_stale(self, message: Message) -> None:
        """Meet a lower term: tell the author about the newer one where that matters.

        A leader of an older term would otherwise never notice a follower that cannot be deposed
        by votes under check-quorum (it would ignore them), nor would a pre-candidate learn the
        term it has to reach (thesis, 9.6). Everything else from the past is dropped (paper, 5.1).
        """
        state = self._state
        match message:
            case AppendEntries() | Heartbeat() | InstallSnapshot():
                state.send(
                    AppendReply(sender=state.id, to=message.sender, term=state.term, index=0)
                )
            case VoteRequest(pre_vote=True):
                state.send(
                    VoteReply(
                        sender=state.id,
                        to=message.sender,
                        term=state.term,
                        granted=False,
                        pre_vote=True,
                    )
                )
            case VoteRequest() | VoteReply() | AppendReply() | HeartbeatReply() | CampaignNow():
                pass

    def _follow(self, message: AppendEntries | Heartbeat | InstallSnapshot) -> None:
        """Take what this term's leader says (Raft paper, section 5.2)."""
        state = self._state
        assert state.role is not Role.LEADER, (
            f"raft nodes {state.id} and {message.sender} both lead term {state.term}"
        )
        if state.role is not Role.FOLLOWER or state.leader != message.sender:
            election.become_follower(state, state.term, message.sender)
        state.election_elapsed = 0
        match message:
            case AppendEntries():
                append.handle_append(state, message)
            case Heartbeat():
                append.handle_heartbeat(state, message)
            case InstallSnapshot():
                snapshot.handle_snapshot(state, message)
