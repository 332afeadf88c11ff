"""A task made from a service."""

from __future__ import annotations

from cluster.model.ids import NodeId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import Service
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.orchestrator.slots import SlotKey


def new_task(
    service: Service,
    key: SlotKey,
    task_id: str,
    *,
    desired_state: TaskState,
    start_after: Timestamp,
    restarts: int,
    now: Timestamp,
) -> Task:
    """Make the next task of a slot.

    Args:
        service: its present spec is what the task will run, for good.
        key: a slot number for replicated services, the node for global ones.
        task_id: a fresh identifier.
        desired_state: READY for a task that must only prepare itself for now, RUNNING, or
            COMPLETE for one of a job.
        start_after: not to be started before; 0 for at once.
        restarts: failures in a row that led to this task.
        now: dates the status.
    """
    return Task(
        id=TaskId(task_id),
        meta=Meta(),
        service_id=service.id,
        service_name=service.spec.name,
        service_labels=service.spec.labels,
        slot=key if isinstance(key, int) else 0,
        node_id=NodeId("") if isinstance(key, int) else NodeId(key),
        spec=service.spec.task_template,
        spec_version=service.spec_version,
        endpoint_spec=service.spec.endpoint_spec,
        desired_state=desired_state,
        status=TaskStatus(state=TaskState.NEW, timestamp=now, message="created"),
        start_after=start_after,
        restarts=restarts,
        mode=service.spec.mode_name,
        job_iteration=service.job_iteration,
    )
