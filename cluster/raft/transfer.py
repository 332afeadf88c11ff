"""Handing leadership over: on request, and when the leader is no voter any more.

Raft thesis, section 3.10 (leadership transfer) and 4.2.2 (removing the current leader).
"""

from __future__ import annotations

from cluster.raft import append, election
from cluster.raft.messages import CampaignNow
from cluster.raft.ready import Role
from cluster.raft.state import RaftState


def begin(state: RaftState, to: int) -> None:
    """Bring `to` up to date, then let it campaign (thesis, 3.10, steps 1 to 3).

    Until it took over, or an election timeout has passed, nothing is proposed here.
    """
    state.transferee = to
    state.election_elapsed = 0
    if not _call(state):
        append.send_append(state, to, even_empty=True)


def follow_up(state: RaftState) -> None:
    """After followers reported: let the successor campaign; leave an office that has ended."""
    if state.role is not Role.LEADER:
        return
    if state.transferee:
        _call(state)
    is_removed = state.id not in state.conf.voters and state.membership.index <= state.log.commit
    if is_removed:
        _resign(state)


def _call(state: RaftState) -> bool:
    """Tell the successor to campaign, if it has the whole log; say whether it was told."""
    progress = state.progress.get(state.transferee)
    if progress is None or progress.match < state.log.last_index:
        return False
    state.send(CampaignNow(sender=state.id, to=state.transferee, term=state.term))
    return True


def _resign(state: RaftState) -> None:
    """Step down: the configuration without this node is committed (thesis, 4.2.2).

    The others hear of the commit first, and the one with the longest log is asked to campaign,
    so that nobody has to wait for a timeout.
    """
    for peer in state.peers():
        append.send_append(state, peer, even_empty=True)
    heir = max(state.conf.voters, key=lambda voter: (state.progress[voter].match, -voter))
    state.send(CampaignNow(sender=state.id, to=heir, term=state.term))
    election.become_follower(state, state.term, 0)
