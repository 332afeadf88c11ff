"""When a node's networks are as the state wants, as its session knows."""

from __future__ import annotations

from cluster.dispatcher.session import Session
from cluster.model.ids import NetworkId, NodeId

FRONT, BACK = NetworkId("front"), NetworkId("back")


def told(*, state: int, view: int) -> Session:
    session = Session(NodeId("a"), "s1")
    session.note_told(state, view)
    return session


def test_a_view_must_be_applied() -> None:
    session = told(state=7, view=7)
    assert not session.has_applied(7, [FRONT])
    session.note_applied(7)
    assert session.has_applied(7, [FRONT])
    assert not session.has_applied(8, [FRONT])


def test_a_change_that_alters_no_view_needs_no_applying() -> None:
    session = told(state=7, view=7)
    session.note_applied(7)
    session.note_told(9, 7)
    assert session.has_applied(9, [FRONT])


def test_a_view_that_was_applied_counts_while_the_next_one_is_on_its_way() -> None:
    session = told(state=7, view=7)
    session.note_told(8, 8)
    session.note_applied(7)
    assert session.has_applied(7, [FRONT])
    assert not session.has_applied(8, [FRONT])


def test_a_view_of_another_history_counts_for_nothing() -> None:
    session = told(state=7, view=7)
    session.note_applied(900)
    assert not session.has_applied(7, [FRONT])


def test_a_network_that_failed_is_not_applied_until_it_is() -> None:
    session = told(state=7, view=7)
    session.note_applied(7, [BACK])
    assert session.has_applied(7, [FRONT])
    assert not session.has_applied(7, [FRONT, BACK])
    session.note_told(8, 8)
    session.note_applied(8, [BACK])
    assert not session.has_applied(7, [BACK])
    session.note_applied(8)
    assert session.has_applied(8, [BACK])
