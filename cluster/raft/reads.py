"""Linearizable reads without writing to the log ("ReadIndex", Raft thesis, section 6.4)."""

from __future__ import annotations

from cluster.raft.quorum import VoteResult, vote_result
from cluster.raft.ready import ReadState
from cluster.raft.state import RaftState


def begin(state: RaftState) -> int:
    """Note the commit index for a new read and return the read's number (thesis, 6.4, step 2).

    The read may be answered once a heartbeat sent from now on proves that this node still leads
    (step 3) and the index is applied (step 4).
    """
    state.newest_read += 1
    state.waiting_reads[state.newest_read] = state.log.commit
    confirm(state, state.id, state.newest_read)
    return state.newest_read


def confirm(state: RaftState, member: int, number: int) -> None:
    """Note that `member` saw this leader after read `number` began; release what that allows."""
    state.read_acks[member] = max(state.read_acks.get(member, 0), number)
    for waiting in list(state.waiting_reads):
        seen = {peer: acked >= waiting for peer, acked in state.read_acks.items()}
        if vote_result(state.conf.voters, seen) is not VoteResult.WON:
            return
        state.read_states.append(ReadState(waiting, state.waiting_reads.pop(waiting)))
