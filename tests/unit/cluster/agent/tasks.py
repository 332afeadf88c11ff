"""Tasks for the tests of the agent."""

from __future__ import annotations

from cluster.model.container import ContainerSpec
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState


def a_task(
    name: str,
    desired_state: TaskState = TaskState.RUNNING,
    state: TaskState = TaskState.ASSIGNED,
) -> Task:
    return Task(
        id=TaskId(name),
        meta=Meta(),
        service_id=ServiceId("service"),
        service_name="web",
        slot=1,
        node_id=NodeId("node"),
        spec=TaskSpec(container_spec=ContainerSpec(image="app:1")),
        desired_state=desired_state,
        status=TaskStatus(state=state),
    )
