from __future__ import annotations

import itertools

import pytest

from cluster.agent.task_machine import (
    TABLE,
    Sight,
    Stage,
    Step,
    Wish,
    before,
    how_it_ended,
    next_step,
    when_done,
    when_failed,
)
from cluster.model.task_state import TaskState
from tests.support.fake_executor import FakeView

S = TaskState
CREATED = FakeView("c", "created")
RUNS = FakeView("c", "running")
UNSURE = FakeView("c", "running", health="starting")
HEALTHY = FakeView("c", "running", health="healthy")
UNHEALTHY = FakeView("c", "running", health="unhealthy")
ENDED = FakeView("c", "ended", exit_code=0)
REMOVED = FakeView("c", "removed", exit_code=137)


def test_the_table_holds_every_case() -> None:
    assert set(TABLE) == set(itertools.product(Stage, Wish, Sight))


@pytest.mark.parametrize(
    ("state", "desired", "view", "step"),
    [
        (S.ASSIGNED, S.READY, None, Step.PREPARE),
        (S.PREPARING, S.RUNNING, CREATED, Step.PREPARE),
        (S.READY, S.READY, CREATED, Step.HOLD),
        (S.READY, S.RUNNING, CREATED, Step.START),
        (S.READY, S.RUNNING, REMOVED, Step.PREPARE),
        (S.STARTING, S.RUNNING, UNSURE, Step.AWAIT_HEALTH),
        (S.STARTING, S.RUNNING, HEALTHY, Step.TELL_RUNNING),
        (S.STARTING, S.RUNNING, UNHEALTHY, Step.STOP_UNHEALTHY),
        (S.RUNNING, S.RUNNING, RUNS, Step.WATCH),
        (S.RUNNING, S.RUNNING, UNHEALTHY, Step.STOP_UNHEALTHY),
        (S.RUNNING, S.RUNNING, ENDED, Step.TELL_END),
        (S.RUNNING, S.RUNNING, REMOVED, Step.TELL_END),
        (S.RUNNING, S.SHUTDOWN, RUNS, Step.STOP),
        (S.RUNNING, S.SHUTDOWN, ENDED, Step.TELL_SHUTDOWN),
        (S.RUNNING, S.REMOVE, RUNS, Step.STOP),
        (S.RUNNING, S.REMOVE, ENDED, Step.REMOVE),
        (S.RUNNING, S.REMOVE, None, Step.TELL_SHUTDOWN),
        (S.FAILED, S.RUNNING, ENDED, Step.REST),
        (S.FAILED, S.RUNNING, RUNS, Step.STOP),
        (S.SHUTDOWN, S.SHUTDOWN, ENDED, Step.REST),
        (S.SHUTDOWN, S.REMOVE, ENDED, Step.REMOVE),
        (S.RUNNING, S.COMPLETE, RUNS, Step.WATCH),
        # an agent that was killed before it noted how far it had come
        (S.ASSIGNED, S.RUNNING, RUNS, Step.TELL_RUNNING),
        (S.ACCEPTED, S.READY, ENDED, Step.TELL_END),
    ],
)
def test_the_next_step(
    state: TaskState, desired: TaskState, view: FakeView | None, step: Step
) -> None:
    assert next_step(state, desired, view) is step


def test_a_task_that_ever_ran_is_never_started_again() -> None:
    for (stage, _, _), step in TABLE.items():
        if stage in {Stage.RUNNING, Stage.OVER}:
            assert step not in {Step.PREPARE, Step.START}


def test_an_unwanted_task_is_never_started() -> None:
    for (_, wish, _), step in TABLE.items():
        if wish in {Wish.SHUTDOWN, Wish.REMOVE}:
            assert step not in {Step.PREPARE, Step.START, Step.HOLD, Step.WATCH}


def test_messages_follow_the_states() -> None:
    assert [o.message for o in before(Step.PREPARE, S.ASSIGNED)] == ["accepted", "preparing"]
    assert [o.state for o in before(Step.PREPARE, S.PREPARING)] == []
    assert [o.message for o in before(Step.START, S.READY)] == ["starting"]
    assert when_done(Step.PREPARE, CREATED) == (S.READY, "prepared", "")
    assert when_done(Step.TELL_RUNNING, RUNS) == (S.RUNNING, "started", "")
    assert when_done(Step.TELL_SHUTDOWN, None) == (S.SHUTDOWN, "shutdown", "")
    assert when_done(Step.STOP, ENDED) is None


def test_exit_0_completes_and_anything_else_fails() -> None:
    assert how_it_ended(ENDED) == (S.COMPLETE, "finished", "")
    assert how_it_ended(REMOVED) == (S.FAILED, None, "task: non-zero exit (137)")
    killed = FakeView("c", "ended", exit_code=137, cause="out of memory")
    assert how_it_ended(killed).error == "task: non-zero exit (137): out of memory"
    assert how_it_ended(None) == (S.FAILED, None, "task: the container is gone")


def test_an_unhealthy_container_fails_the_task_with_its_exit_code() -> None:
    stopped = FakeView("c", "ended", exit_code=143)
    assert when_done(Step.STOP_UNHEALTHY, stopped) == (
        S.FAILED,
        None,
        "task: non-zero exit (143): dockerexec: unhealthy container",
    )


def test_a_failure_before_the_start_rejects_and_one_at_the_start_fails() -> None:
    assert when_failed(Step.PREPARE, "No such image: x:1") == (
        S.REJECTED,
        None,
        "No such image: x:1",
    )
    assert when_failed(Step.START, "no such file") == (
        S.FAILED,
        None,
        "starting container failed: no such file",
    )
    assert when_failed(Step.REMOVE, "busy") is None
