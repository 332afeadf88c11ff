"""The knobs of one raft node; times are counted in ticks, the caller decides how long one is."""

from __future__ import annotations

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Fixed for the life of a `RaftCore`.

    Attributes:
        id: this node's raft ID, above 0 and never used again by another node.
        election_ticks: a follower that hears nothing waits this many ticks, plus a random part
            below the same number, before it campaigns (Raft paper, section 5.2).
        heartbeat_ticks: ticks between heartbeats of a leader; must be below `election_ticks`.
        max_append_bytes: limit of the entries in one message; one entry always fits.
        max_inflight_messages: unanswered append messages a follower may have outstanding.
        max_inflight_bytes: as much entry data may be in those messages; one always goes out.
        max_learner_lag: a learner is made a voter only when it lacks at most this many entries,
            so that the group does not have to wait for it (Raft thesis, section 4.2.1).
        max_uncommitted_bytes: proposals beyond this much uncommitted data are refused; one is
            always accepted.
        pre_vote: ask before campaigning, so that a node cut off for a while does not disturb
            the leader when it comes back (Raft thesis, section 9.6).
        check_quorum: a leader that hears of no majority steps down, and nodes that hear a leader
            give no votes (Raft thesis, sections 6.2 and 4.2.3).
    """

    id: int
    election_ticks: int = 10
    heartbeat_ticks: int = 1
    max_append_bytes: int = 1 << 20
    max_inflight_messages: int = 256
    max_inflight_bytes: int = 32 << 20
    max_learner_lag: int = 1000
    max_uncommitted_bytes: int = 64 << 20
    pre_vote: bool = True
    check_quorum: bool = True

    def __post_init__(self) -> None:
        """Refuse values no cluster could live with."""
        if self.id <= 0:
            msg = f"raft id: {self.id} is not above 0"
            raise ValueError(msg)
        if not 0 < self.heartbeat_ticks < self.election_ticks:
            msg = (
                f"heartbeat_ticks: {self.heartbeat_ticks} must be above 0 and below "
                f"election_ticks ({self.election_ticks})"
            )
            raise ValueError(msg)
