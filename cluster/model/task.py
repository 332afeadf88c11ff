"""A task: one attempt to run a service's container on one node; it is never restarted."""

from __future__ import annotations

from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import TaskSpec
from cluster.model.spec_struct import Labels, ObjectStruct
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp


class ContainerStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What the engine says of the task's container."""

    container_id: str = ""
    pid: int = 0
    exit_code: int = 0


class TaskStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What was last observed of a task; see `task_state.TRANSITIONS` for who writes it."""

    state: TaskState = TaskState.NEW
    timestamp: Timestamp = Timestamp(0)
    message: str = ""
    error: str = ""
    container: ContainerStatus | None = None
    ports: tuple[PortConfig, ...] = ()  # host-mode ports as the engine really bound them


class Task(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="task", tag_field="kind"):
    """One attempt on one node.

    Writers: `desired_state`, `start_after` the orchestrator; `node_id` the scheduler (the
    orchestrator for global services); `status` as in `task_state.TRANSITIONS`; the rest is fixed
    when the task is made.
    """

    id: TaskId
    meta: Meta
    service_id: ServiceId
    service_name: str
    service_labels: Labels = {}
    slot: int = 0  # from 1; 0 for global services
    node_id: NodeId = NodeId("")
    spec: TaskSpec
    spec_version: int = 0  # Service.spec_version this task was made from
    endpoint_spec: EndpointSpec | None = None
    desired_state: TaskState = TaskState.RUNNING
    status: TaskStatus = TaskStatus()
    start_after: Timestamp = Timestamp(0)  # a task desired READY may not be desired RUNNING before
    restarts: int = 0  # failures in a row of this slot and spec version before this task

    @property
    def name(self) -> str:
        """Name of the task, and of its container without the ID: ``web.1`` or ``web.<node id>``."""
        return f"{self.service_name}.{self.slot or self.node_id}"

    @property
    def container_name(self) -> str:
        """Name of the task's container, as Docker Swarm names it."""
        return f"{self.name}.{self.id}"

    @property
    def is_wanted(self) -> bool:
        """Whether the orchestrator wants this task to exist and run, now or soon."""
        return self.desired_state <= TaskState.RUNNING

    @property
    def is_active(self) -> bool:
        """Whether the task is wanted and has not ended."""
        return self.is_wanted and not self.status.state.is_terminal
