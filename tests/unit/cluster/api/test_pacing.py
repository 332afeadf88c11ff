from __future__ import annotations

import pytest

from cluster.api.pacing import PAUSE_S, Pacing
from cluster.store.state import ClusterState

STATE = ClusterState()


def test_the_same_question_at_once_has_to_wait() -> None:
    pacing = Pacing()
    assert pacing.pause_s("a", STATE, 1.0) == 0
    assert pacing.pause_s("a", STATE, 1.0) == pytest.approx(PAUSE_S)
    assert pacing.pause_s("a", STATE, 1.0 + PAUSE_S) == pytest.approx(PAUSE_S)


def test_others_do_not_wait() -> None:
    pacing = Pacing()
    pacing.pause_s("a", STATE, 1.0)
    assert pacing.pause_s("b", STATE, 1.0) == 0
    assert pacing.pause_s("a", ClusterState(1), 1.0) == 0, "the state has changed"
    assert pacing.pause_s("b", STATE, 1.2) == 0, "the client waits by itself"


def test_old_questions_are_forgotten() -> None:
    pacing = Pacing()
    for number in range(1000):
        pacing.pause_s(str(number), STATE, 1.0)
    assert pacing.pause_s("0", STATE, 1.0) == 0
    assert pacing.pause_s("999", STATE, 1.0) > 0
