from __future__ import annotations

import pytest

from cluster.model.service import GlobalJobMode, ReplicatedJobMode, Service
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState
from tests.support.builders import make_service, make_task, seconds

S = TaskState


def test_the_first_report_that_a_task_runs_is_remembered() -> None:
    task = make_task("t", make_service("web"), state=S.STARTING, node="a", at=1)
    assert task.running_since == 0
    running = task.observed(TaskStatus(state=S.RUNNING, timestamp=seconds(5)))
    assert running.running_since == seconds(5)
    again = running.observed(TaskStatus(state=S.RUNNING, timestamp=seconds(6), message="healthy"))
    assert again.running_since == seconds(5)
    assert again.observed(
        TaskStatus(state=S.FAILED, timestamp=seconds(7))
    ).running_since == seconds(5)


@pytest.mark.parametrize(
    ("service", "slot", "place"),
    [
        (make_service("web"), 3, 3),
        (make_service("web", is_global=True), 0, "a"),
        (make_service("web", job=ReplicatedJobMode()), 0, 0),
        (make_service("web", job=GlobalJobMode()), 0, "a"),
    ],
    ids=lambda value: value.spec.mode_name if isinstance(value, Service) else "",
)
def test_the_place_of_a_task_is_a_slot_or_a_node(
    service: Service, slot: int, place: int | str
) -> None:
    assert make_task("t", service, slot=slot, node="a").place == place


def test_a_task_of_a_job_is_wanted_while_it_is_to_complete() -> None:
    job = make_service("web", job=ReplicatedJobMode())
    for desired, is_wanted in (
        (S.READY, True),
        (S.COMPLETE, True),
        (S.SHUTDOWN, False),
        (S.REMOVE, False),
    ):
        assert make_task("t", job, slot=0, desired=desired).is_wanted is is_wanted
