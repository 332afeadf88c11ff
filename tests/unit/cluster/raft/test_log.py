from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.raft.entry import ConfState, Entry, Snapshot
from cluster.raft.log import ENTRY_OVERHEAD, Log

TERMS = st.lists(st.integers(1, 4), max_size=8).map(sorted)


def log_of(terms: list[int], base: int = 0, base_term: int = 0, commit: int = 0) -> Log:
    return Log(Snapshot(base, base_term), entries(terms, base + 1), commit)


def entries(terms: list[int], first: int) -> list[Entry]:
    return [Entry(first + at, term, b"%d" % term) for at, term in enumerate(terms)]


def terms_of(log: Log) -> list[int]:
    return [entry.term for entry in log.between(log.first_index - 1, log.last_index)]


def test_an_empty_log_ends_at_its_snapshot() -> None:
    log = log_of([], base=7, base_term=3)
    assert (log.first_index, log.last_index, log.last_term) == (8, 7, 3)
    assert (log.commit, log.applied, log.stable) == (7, 7, 7)
    assert log.term_at(7) == 3
    assert log.term_at(6) is None
    assert log.term_at(8) is None


def test_entries_with_a_gap_are_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="entry 3 where 2 belongs"):
        Log(Snapshot(), [Entry(1, 1), Entry(3, 1)], 0)
    with pytest.raises(AssertionError, match="commit 5 lies beyond the last entry 2"):
        log_of([1, 1], commit=5)


@given(TERMS, st.integers(0, 8), TERMS)
def test_accepting_gives_the_leaders_prefix_and_never_cuts_an_agreeing_log(
    own: list[int], at: int, sent: list[int]
) -> None:
    log = log_of(own)
    at = min(at, len(own))
    sent = [term for term in sent if at == 0 or term >= own[at - 1]]
    log.accept(entries(sent, at + 1))
    result = terms_of(log)
    assert result[:at] == own[:at]
    assert result[at : at + len(sent)] == sent
    agrees = own[at : at + len(sent)] == sent[: len(own) - at]
    if agrees:
        assert len(result) == max(len(own), at + len(sent))
    assert log.stable <= len(own)


def test_a_committed_entry_is_never_replaced() -> None:
    log = log_of([1, 1, 1], commit=2)
    with pytest.raises(AssertionError, match="entry 2 is committed"):
        log.accept([Entry(2, 2)])
    log.accept([Entry(3, 2)])
    assert terms_of(log) == [1, 1, 2]


def test_what_was_replaced_is_unstable_again() -> None:
    log = log_of([1, 1, 1])
    log.accept(entries([2, 2], 2))
    assert [entry.index for entry in log.unstable()] == [2, 3]
    log.stable_to(3, 1)  # the disk finished the old entries
    assert log.stable == 1
    log.stable_to(3, 2)
    assert log.unstable() == ()


def test_only_durable_committed_entries_are_handed_out() -> None:
    log = log_of([1])
    log.append(entries([1, 1], 2))
    log.commit_to(3)
    assert [entry.index for entry in log.to_apply()] == [1]
    log.stable_to(2, 1)
    assert [entry.index for entry in log.to_apply()] == [1, 2]
    log.handed_out = 2
    assert log.to_apply() == ()


@given(TERMS, st.integers(0, 10), st.integers(0, 5))
def test_the_hint_is_the_last_entry_that_may_match(own: list[int], index: int, term: int) -> None:
    log = log_of(own)
    found, found_term = log.probe_hint(index, term)
    expected = max(
        (i for i in range(1, len(own) + 1) if i <= index and own[i - 1] <= term), default=0
    )
    assert (found, found_term) == (expected, own[expected - 1] if expected else 0)


def test_a_page_is_bounded_but_never_empty() -> None:
    log = log_of([1, 1, 1])
    size = ENTRY_OVERHEAD + 1
    assert len(log.page(0, 1)) == 1
    assert len(log.page(0, 2 * size)) == 2
    assert len(log.page(1, 100 * size)) == 2
    assert log.page(3, 100) == ()


@pytest.mark.parametrize(
    ("last", "expected"), [((3, 2), True), ((9, 1), False), ((2, 2), False), ((1, 3), True)]
)
def test_the_later_term_wins_then_the_longer_log(last: tuple[int, int], expected: bool) -> None:
    assert log_of([1, 2, 2]).is_up_to_date(*last) is expected


def test_compaction_keeps_some_entries_for_slow_followers() -> None:
    log = log_of([1, 1, 2, 2, 2], commit=5)
    log.handed_out = log.applied = 4
    taken = log.describe_applied(ConfState((1,)))
    assert taken == Snapshot(4, 2, ConfState((1,)))
    log.compact(taken, 1)
    assert (log.first_index, log.last_index, log.term_at(3)) == (4, 5, 2)
    log.compact(taken, 0)
    assert log.first_index == 5
    assert log.snapshot == taken
    log.compact(Snapshot(2, 1), 0)
    assert log.first_index == 5


def test_a_received_snapshot_replaces_everything() -> None:
    log = log_of([1, 1], commit=1)
    snapshot = Snapshot(9, 4, ConfState((1, 2)))
    log.restore(snapshot)
    assert (log.first_index, log.last_index, log.last_term, log.commit) == (10, 9, 4, 9)
    assert log.to_apply() == ()
    log.snapshot_stable(snapshot)
    assert (log.applied, log.snapshot, log.unstable_snapshot) == (9, snapshot, None)
