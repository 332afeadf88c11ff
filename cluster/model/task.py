"""A task: one attempt to run a service's container on one node; it is never restarted."""

from __future__ import annotations

from msgspec.structs import replace

from cluster.model.endpoint import EndpointSpec, NetworkAttachment, PortConfig
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.resources import GenericResource
from cluster.model.service import ModeName, TaskSpec
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
    is_unhealthy: bool = False  # its health check has given it up; it is being stopped


class Task(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="task", tag_field="kind"):
    """One attempt on one node.

    Writers: `desired_state`, `start_after` the orchestrator; `node_id` the scheduler (the
    orchestrator for global services); `assigned_generic_resources` the scheduler; `is_moving` the
    rebalancer; `status` and `running_since` as in `task_state.TRANSITIONS`; `networks` the
    allocator, once; the rest is fixed when the task is made.
    """

    id: TaskId
    meta: Meta
    service_id: ServiceId
    service_name: str
    service_labels: Labels = {}
    slot: int = 0  # from 1, of a replicated job from 0; 0 for global services and jobs
    node_id: NodeId = NodeId("")
    spec: TaskSpec
    spec_version: int = 0  # Service.spec_version this task was made from
    endpoint_spec: EndpointSpec | None = None
    desired_state: TaskState = TaskState.RUNNING
    status: TaskStatus = TaskStatus()
    start_after: Timestamp = Timestamp(0)  # a task desired READY may not be desired RUNNING before
    restarts: int = 0  # failures in a row of this slot and spec version before this task
    running_since: Timestamp = Timestamp(0)  # when its node first saw it run; 0 if it never did
    mode: ModeName = "replicated"  # its service's, which never changes
    job_iteration: int = 0  # Service.job_iteration this task was made for
    is_moving: bool = False  # another task is to take its place, for a better spread
    assigned_generic_resources: tuple[GenericResource, ...] = ()  # of those its node has
    networks: tuple[NetworkAttachment, ...] = ()  # its addresses, its own until it has ended

    @property
    def is_of_job(self) -> bool:
        """Whether the task is to run to its end."""
        return self.mode in {"replicated-job", "global-job"}

    @property
    def place(self) -> int | NodeId:
        """What the task's service has one good task for: a slot number, or a node."""
        if self.mode == "replicated-job":
            return self.slot
        return self.slot or self.node_id

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
        return self.desired_state <= TaskState.COMPLETE

    @property
    def is_serving(self) -> bool:
        """Whether others may be sent to it: it runs, is healthy and is to go on."""
        is_running = self.status.state is TaskState.RUNNING
        return is_running and self.is_wanted and not self.status.is_unhealthy

    @property
    def is_active(self) -> bool:
        """Whether the task is wanted and has not ended."""
        return self.is_wanted and not self.status.state.is_terminal

    def observed(self, status: TaskStatus) -> Task:
        """Return the task as its node now reports it."""
        since = self.running_since
        if not since and status.state is TaskState.RUNNING:
            since = status.timestamp
        return replace(self, status=status, running_since=since)
