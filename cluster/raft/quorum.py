"""Majorities: who has won an election, and which index a majority holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

LOSS_OF_QUORUM = "can't remove member from the raft: this would result in a loss of quorum"
"""What a user is told, in Docker Swarm's words."""


class VoteResult(Enum):
    """Where an election stands."""

    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority(voter_count: int) -> int:
    """Return the smallest number of voters of which any two sets share one."""
    return voter_count // 2 + 1


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """Count votes (Raft paper, section 5.2).

    Args:
        voters: everyone who has a vote.
        votes: answers so far; those of others than `voters` do not count.

    Returns:
        WON when a majority said yes, LOST when no majority is possible any more. An election
        without voters is lost: nobody could confirm anything.
    """
    needed = majority(len(voters))
    yes = sum(1 for voter in voters if votes.get(voter) is True)
    missing = sum(1 for voter in voters if voter not in votes)
    if voters and yes >= needed:
        return VoteResult.WON
    if yes + missing < needed:
        return VoteResult.LOST
    return VoteResult.PENDING


def committed_index(voters: Collection[int], matched: Mapping[int, int]) -> int:
    """Return the highest index a majority of `voters` holds (Raft paper, section 5.3).

    Args:
        voters: everyone whose copy counts.
        matched: highest index each node is known to hold durably; 0 when missing.
    """
    if not voters:
        return 0
    held = sorted((matched.get(voter, 0) for voter in voters), reverse=True)
    return held[majority(len(voters)) - 1]
