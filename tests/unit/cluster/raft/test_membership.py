from __future__ import annotations

import pytest

from cluster.raft.entry import ConfState, Entry, Snapshot
from cluster.raft.membership import Membership, encode_conf, refusal


def change(index: int, *voters: int) -> Entry:
    return Entry(index, 1, encode_conf(ConfState(voters)), changes_members=True)


def test_the_newest_configuration_of_the_log_is_in_force() -> None:
    start = Snapshot(3, 1, ConfState((1,)))
    membership = Membership(start, [Entry(4, 1, b"x"), change(5, 1, 2)])
    assert membership.current == ConfState((1, 2))
    assert membership.index == 5
    assert membership.at(4) == ConfState((1,))
    assert membership.append([change(6, 1, 2, 3), Entry(7, 1, b"y")])
    assert not membership.append([Entry(8, 1, b"z")])
    assert membership.at(7) == membership.current == ConfState((1, 2, 3))


def test_a_replaced_entry_takes_its_configuration_along() -> None:
    membership = Membership(Snapshot(3, 1, ConfState((1,))), [change(5, 1, 2), change(8, 1, 2, 3)])
    assert membership.truncate(6)
    assert membership.current == ConfState((1, 2))
    assert not membership.truncate(6)
    membership.restore(Snapshot(20, 2, ConfState((7,))))
    assert (membership.current, membership.index) == (ConfState((7,)), 20)


def test_compaction_keeps_what_describes_the_kept_entries() -> None:
    membership = Membership(Snapshot(3, 1, ConfState((1,))), [change(5, 1, 2), change(8, 1, 2, 3)])
    membership.compact(7)
    assert membership.at(7) == ConfState((1, 2))
    with pytest.raises(AssertionError):
        membership.at(4)
    membership.compact(100)
    assert membership.current == ConfState((1, 2, 3))


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (ConfState((1, 2, 3), (4, 5)), None),
        (ConfState((1, 2, 3, 4)), None),
        (ConfState((1, 2), (3, 4)), None),
        (ConfState((1, 2), (4,)), None),
        (ConfState((1, 2, 3)), None),
        (ConfState((1, 2, 3), (4,)), "one member can change at a time, not 0"),
        (ConfState((1, 2), (4, 5)), "one member can change at a time, not 2"),
        (ConfState((), (4,)), "no voter would be left"),
        (ConfState((1, 2, 3), (3, 4)), "3 would be a voter and a learner"),
        (ConfState((2, 1, 3), (4,)), "voters: (2, 1, 3) are not distinct IDs above 0"),
    ],
)
def test_one_member_changes_at_a_time(new: ConfState, why: str | None) -> None:
    found = refusal(ConfState((1, 2, 3), (4,)), new)
    assert (found is None) if why is None else (found is not None and found.startswith(why))
