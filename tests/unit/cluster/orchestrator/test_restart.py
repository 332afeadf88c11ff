from __future__ import annotations

import pytest

from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import RestartPolicy
from cluster.orchestrator.restart import (
    REJECTED_BY_ENFORCER,
    Terms,
    backoff_ns,
    ended_by_itself,
    is_attempt,
    terms_after_end,
    terms_after_loss,
)
from tests.support.builders import make_service, make_task, seconds

S = TaskState


def ended(state: TaskState = S.FAILED, *, restart: RestartPolicy | None = None, **kwargs) -> Task:
    kwargs = {"made_at": 100, "at": 101, "node": "a"} | kwargs
    return make_task("t1", make_service("web", restart=restart), state=state, **kwargs)


def terms(task: Task, *others: Task, now: float = 200) -> Terms | None:
    return terms_after_end(task, (*others, task), seconds(now))


def test_by_default_every_end_is_followed_after_five_seconds() -> None:
    for state in (S.FAILED, S.REJECTED):
        assert terms(ended(state)) == Terms(start_after=seconds(205), restarts=1)
    assert terms(ended(S.COMPLETE)) == Terms(start_after=seconds(205), restarts=0)


@pytest.mark.parametrize(
    ("condition", "state", "restarts"),
    [
        ("none", S.FAILED, False),
        ("none", S.COMPLETE, False),
        ("on-failure", S.FAILED, True),
        ("on-failure", S.REJECTED, True),
        ("on-failure", S.COMPLETE, False),
        ("any", S.COMPLETE, True),
        ("", S.FAILED, True),
    ],
)
def test_conditions(condition, state: TaskState, restarts: bool) -> None:
    task = ended(state, restart=RestartPolicy(condition=condition))
    assert (terms(task) is not None) is restarts


@pytest.mark.parametrize(
    ("delay_s", "failures", "expected_s"),
    [
        (5, 0, 5), (5, 1, 5), (5, 2, 5), (5, 3, 10), (5, 4, 20), (5, 5, 40), (5, 6, 60),
        (5, 1000, 60),
        (0, 0, 0), (0, 2, 0), (0, 3, 1), (0, 4, 2), (0, 9, 60),
        (100, 0, 100), (100, 5, 100),
    ],
)  # fmt: skip
def test_backoff_doubles_up_to_a_minute(delay_s: int, failures: int, expected_s: int) -> None:
    assert backoff_ns(delay_s * SECOND_NS, failures) == expected_s * SECOND_NS


def test_failures_in_a_row_wait_longer_each_time() -> None:
    assert terms(ended(restarts=4)) == Terms(start_after=seconds(220), restarts=5)


def test_a_task_that_held_out_begins_the_row_anew() -> None:
    assert terms(ended(restarts=4, at=160)) == Terms(start_after=seconds(205), restarts=0)
    late = ended(restarts=6, start_after=150, at=160)
    assert terms(late) == Terms(start_after=seconds(260), restarts=7)


def test_attempts_count_by_spec_version_and_without_losses() -> None:
    policy = RestartPolicy(max_attempts=2)
    task = ended(restart=policy)
    service = make_service("web", restart=policy)
    others = [
        make_task("o1", service, state=S.FAILED, at=50),
        make_task("o2", service, state=S.SHUTDOWN, desired=S.SHUTDOWN, at=50),
        make_task("o3", service, state=S.REJECTED, at=50, message=REJECTED_BY_ENFORCER),
        make_task("o4", service, state=S.FAILED, at=50, spec_version=7),
    ]
    assert terms(task, *others) is not None
    assert terms(task, *others, make_task("o5", service, state=S.FAILED, at=60)) is None


def test_the_window_is_seen_from_the_tasks_end() -> None:
    policy = RestartPolicy(max_attempts=1, window=10 * SECOND_NS)
    service = make_service("web", restart=policy)
    old = make_task("o1", service, state=S.FAILED, at=80)
    recent = make_task("o2", service, state=S.FAILED, at=95)
    assert terms(ended(restart=policy), old, now=1000) is not None
    assert terms(ended(restart=policy), recent, now=1000) is None


def test_a_lost_task_is_followed_at_once() -> None:
    running = make_task("t", make_service("web"), made_at=100)
    assert terms_after_loss(running, seconds(200)) == Terms()
    none = make_task("t", make_service("web", restart=RestartPolicy(condition="none")))
    assert terms_after_loss(none, seconds(200)) is None


def test_a_lost_task_passes_on_what_it_had_to_wait() -> None:
    waiting = make_task(
        "t",
        make_service("web"),
        state=S.READY,
        desired=S.READY,
        made_at=190,
        start_after=230,
        restarts=3,
    )
    assert terms_after_loss(waiting, seconds(200)) == Terms(start_after=seconds(230), restarts=3)


def test_ends_that_a_policy_judges() -> None:
    assert ended_by_itself(ended(S.FAILED))
    assert ended_by_itself(ended(S.COMPLETE))
    assert not ended_by_itself(ended(S.REJECTED, message=REJECTED_BY_ENFORCER))
    assert not ended_by_itself(ended(S.ORPHANED))
    assert not ended_by_itself(ended(S.SHUTDOWN, desired=S.SHUTDOWN))
    assert ended_by_itself(ended(S.SHUTDOWN))
    assert not is_attempt(ended(S.SHUTDOWN))
    assert not ended_by_itself(ended(S.RUNNING))
