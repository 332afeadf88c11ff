"""Deadlines of nodes, as a pure table."""

import pytest

from cluster.dispatcher.heartbeats import GRACE_FACTOR, Heartbeats
from cluster.errors import NotFound
from cluster.model.ids import NodeId

A, B = NodeId("a"), NodeId("b")


def table(dice: float = 0.5) -> Heartbeats:
    return Heartbeats(lambda: dice)


def test_a_session_ends_four_periods_after_it_began() -> None:
    beats = table()
    beats.open_session(A, "s", 10.0, 1.0)
    assert beats.next_deadline_s() == 10.0 + GRACE_FACTOR
    assert beats.take_late(13.9) == []
    assert beats.take_late(14.0) == [A]
    assert beats.take_late(99.0) == []
    assert A not in beats


@pytest.mark.parametrize(("dice", "period"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_a_beat_varies_the_period_by_a_tenth_and_moves_the_deadline(dice, period) -> None:
    beats = table(dice)
    beats.open_session(A, "s", 0.0, 1.0)
    assert beats.beat(A, "s", 3.0, 1.0) == pytest.approx(period)
    assert beats.next_deadline_s() == pytest.approx(3.0 + 4 * period)


@pytest.mark.parametrize("session", ["", "other"])
def test_a_beat_of_another_session_is_refused(session: str) -> None:
    beats = table()
    beats.open_session(A, "s", 0.0, 1.0)
    with pytest.raises(NotFound, match="open a new one"):
        beats.beat(A, session, 1.0, 1.0)


def test_a_node_awaited_back_has_no_session() -> None:
    beats = table()
    beats.await_return(A, 0.0, 1.0)
    with pytest.raises(NotFound):
        beats.check(A, "")


@pytest.mark.parametrize(("period", "grace"), [(0.1, 5.0), (1.0, 6.0), (5.0, 30.0)])
def test_a_node_awaited_back_gets_six_periods_but_five_seconds(period, grace) -> None:
    beats = table()
    beats.await_return(A, 100.0, period)
    assert beats.next_deadline_s() == 100.0 + grace


def test_late_nodes_come_sorted_and_others_stay() -> None:
    beats = table()
    beats.open_session(B, "s", 0.0, 1.0)
    beats.open_session(A, "s", 0.0, 1.0)
    beats.open_session(NodeId("c"), "s", 1.0, 1.0)
    assert beats.take_late(4.5) == [A, B]
    assert beats.next_deadline_s() == 5.0


def test_time_in_which_nobody_could_be_heard_does_not_count() -> None:
    beats = table()
    beats.open_session(A, "s", 0.0, 1.0)
    beats.forgive(10.0)
    assert beats.take_late(13.0) == []
    beats.check(A, "s")
    assert beats.take_late(14.0) == [A]


def test_an_empty_table_has_no_deadline() -> None:
    assert table().next_deadline_s() is None
