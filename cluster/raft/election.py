"""Votes: campaigning, granting, winning, and stepping down.

Raft paper, sections 5.2 and 5.4.1; pre-vote and the leader's lease: Raft thesis, sections 9.6,
6.2 and 4.2.3.
"""

from __future__ import annotations

from cluster.raft import append
from cluster.raft.messages import VoteReply, VoteRequest
from cluster.raft.quorum import VoteResult, vote_result
from cluster.raft.ready import Role
from cluster.raft.state import RaftState


def become_follower(state: RaftState, term: int, leader: int) -> None:
    """Follow `leader` (0: whoever it will be) in `term` (Raft paper, section 5.1)."""
    state.reset(term)
    state.role = Role.FOLLOWER
    state.leader = leader


def campaign(state: RaftState, *, is_transfer: bool = False) -> None:
    """Try to become leader, if this node may.

    Args:
        state: of this node.
        is_transfer: the leader asked for it, so nobody needs to be asked beforehand.
    """
    if state.role is Role.LEADER or not state.may_campaign:
        return
    if state.config.pre_vote and not is_transfer:
        _become_pre_candidate(state)
    else:
        _become_candidate(state, is_transfer=is_transfer)


def handle_vote_request(state: RaftState, message: VoteRequest) -> None:
    """Grant or refuse (Raft paper, figure 2, "RequestVote RPC", and 5.4.1).

    One vote a term, first come, first served, and only for a log at least as complete as this
    one. A pre-vote is answered by the same rule for the term the asker would campaign in, but
    binds nobody (thesis, 9.6). The term was already brought up to date, or found stale.
    """
    may_vote = (
        state.vote == message.sender
        or (state.vote == 0 and state.leader == 0)
        or (message.pre_vote and message.term > state.term)
    )
    granted = may_vote and state.log.is_up_to_date(message.last_index, message.last_term)
    if granted and not message.pre_vote:
        state.vote = message.sender
        state.election_elapsed = 0
    state.send(
        VoteReply(
            sender=state.id,
            to=message.sender,
            term=message.term if granted else state.term,
            granted=granted,
            pre_vote=message.pre_vote,
        )
    )


def handle_vote_reply(state: RaftState, message: VoteReply) -> None:
    """Count an answer (Raft paper, section 5.2); those to another kind of candidacy are old."""
    asked = Role.PRE_CANDIDATE if message.pre_vote else Role.CANDIDATE
    if state.role is not asked:
        return
    state.votes.setdefault(message.sender, message.granted)
    match vote_result(state.conf.voters, state.votes):
        case VoteResult.WON if message.pre_vote:
            _become_candidate(state, is_transfer=False)
        case VoteResult.WON:
            _become_leader(state)
        case VoteResult.LOST:
            become_follower(state, state.term, 0)
        case VoteResult.PENDING:
            pass


def honours_lease(state: RaftState, message: VoteRequest) -> bool:
    """Say whether a request has to be ignored because a leader is alive.

    A node that heard its leader within the shortest election timeout takes no part in replacing
    it (thesis, 4.2.3), so a removed or cut-off node cannot depose anybody. Unless the leader
    wants to be replaced.
    """
    return (
        state.config.check_quorum
        and not message.is_transfer
        and state.leader not in (0, message.sender)
        and state.election_elapsed < state.config.election_ticks
    )


def tick_election(state: RaftState) -> None:
    """Campaign once nothing was heard for long enough (Raft paper, section 5.2)."""
    state.election_elapsed += 1
    if state.election_elapsed >= state.patience and state.may_campaign:
        state.election_elapsed = 0
        campaign(state)


def tick_leader(state: RaftState) -> None:
    """Send heartbeats (Raft paper, 5.2); step down without a majority (thesis, 6.2).

    Whoever was asked to take over and did not within an election timeout is given up, and this
    leader goes on (thesis, 3.10).
    """
    state.election_elapsed += 1
    state.heartbeat_elapsed += 1
    if state.election_elapsed >= state.config.election_ticks:
        state.election_elapsed = 0
        state.transferee = 0
        if state.config.check_quorum and not _hears_quorum(state):
            become_follower(state, state.term, 0)
            return
    if state.heartbeat_elapsed >= state.config.heartbeat_ticks:
        state.heartbeat_elapsed = 0
        append.broadcast_heartbeat(state)


def _become_pre_candidate(state: RaftState) -> None:
    """Ask around before disturbing anybody; term and vote stay as they are (thesis, 9.6)."""
    state.votes = {}
    state.leader = 0
    state.election_elapsed = 0
    state.draw_patience()
    state.role = Role.PRE_CANDIDATE
    _ask_for_votes(state, state.term + 1, pre_vote=True, is_transfer=False)


def _become_candidate(state: RaftState, *, is_transfer: bool) -> None:
    """Begin a new term and vote for oneself (Raft paper, section 5.2)."""
    state.reset(state.term + 1)
    state.vote = state.id
    state.role = Role.CANDIDATE
    _ask_for_votes(state, state.term, pre_vote=False, is_transfer=is_transfer)


def _ask_for_votes(state: RaftState, term: int, *, pre_vote: bool, is_transfer: bool) -> None:
    """Ask every voter; the own vote takes the same way, so it counts only once it is durable."""
    for voter in state.conf.voters:
        if voter == state.id:
            state.send(
                VoteReply(sender=voter, to=voter, term=term, granted=True, pre_vote=pre_vote)
            )
        else:
            state.send(
                VoteRequest(
                    sender=state.id,
                    to=voter,
                    term=term,
                    last_index=state.log.last_index,
                    last_term=state.log.last_term,
                    pre_vote=pre_vote,
                    is_transfer=is_transfer,
                )
            )


def _become_leader(state: RaftState) -> None:
    """Lead the term, and append an entry of it that changes nothing.

    Entries of earlier terms can only be committed together with one of this term (Raft paper,
    5.4.2), so the leader makes one at once ("no-op", section 8).
    """
    assert state.role is Role.CANDIDATE
    state.reset(state.term)
    state.role = Role.LEADER
    state.leader = state.id
    own = state.progress.get(state.id)  # none, if it only finishes its own removal
    if own is not None:
        own.replicate()
        own.recent_active = True
    append.append_own(state, [b""])


def _hears_quorum(state: RaftState) -> bool:
    """Look who was heard of since the last time, and start counting anew (thesis, 6.2)."""
    heard = {
        member: member == state.id or progress.recent_active
        for member, progress in state.progress.items()
    }
    for member, progress in state.progress.items():
        progress.recent_active = member == state.id
    return vote_result(state.conf.voters, heard) is VoteResult.WON
