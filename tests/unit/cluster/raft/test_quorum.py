from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from cluster.raft.quorum import VoteResult, committed_index, majority, vote_result

MATCHED = st.dictionaries(st.integers(1, 7), st.integers(0, 9))


@given(st.integers(1, 7))
def test_two_majorities_share_a_voter(count: int) -> None:
    needed = majority(count)
    voters = range(count)
    for one in itertools.combinations(voters, needed):
        for other in itertools.combinations(voters, needed):
            assert set(one) & set(other)


@given(st.integers(1, 7), MATCHED)
def test_the_committed_index_is_the_highest_a_majority_holds(
    count: int, matched: dict[int, int]
) -> None:
    voters = range(1, count + 1)

    def holders(index: int) -> int:
        return sum(matched.get(voter, 0) >= index for voter in voters)

    index = committed_index(voters, matched)
    assert holders(index) >= majority(count)
    assert holders(index + 1) < majority(count)


@given(st.integers(1, 7), st.dictionaries(st.integers(1, 9), st.booleans()))
def test_an_election_is_decided_when_the_missing_votes_cannot_change_it(
    count: int, votes: dict[int, bool]
) -> None:
    voters = range(1, count + 1)
    missing = [voter for voter in voters if voter not in votes]
    ends = set()
    for answers in itertools.product([True, False], repeat=len(missing)):
        full = votes | dict(zip(missing, answers, strict=True))
        ends.add(sum(full[voter] for voter in voters) >= majority(count))
    result = vote_result(voters, votes)
    if len(ends) == 2:
        assert result is VoteResult.PENDING
    else:
        assert result is (VoteResult.WON if ends.pop() else VoteResult.LOST)


def test_nobody_wins_without_voters() -> None:
    assert vote_result((), {}) is VoteResult.LOST
    assert committed_index((), {1: 5}) == 0
