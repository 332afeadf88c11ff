"""A service: a user's wish for tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from cluster.model.container import ContainerSpec, Driver
from cluster.model.endpoint import EndpointSpec, ServiceEndpoint
from cluster.model.extensions import TaskExtensions
from cluster.model.ids import ServiceId
from cluster.model.meta import Meta
from cluster.model.placement import Placement
from cluster.model.registry_login import RegistryAuth
from cluster.model.resources import ResourceRequirements
from cluster.model.spec_struct import Labels, ObjectStruct, SpecStruct, always
from cluster.model.units import Timestamp, Uint64
from cluster.model.update_policy import RestartPolicy, UpdateConfig

EXTENSIONS_MEMBER: Final = "StackyardExtensions"


class NetworkAttachmentConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A network that tasks join; `target` holds the network's ID once accepted."""

    target: str = ""
    aliases: tuple[str, ...] = ()
    driver_opts: Mapping[str, str] | None = None


class TaskSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Everything that makes a task; `force_update` is a counter whose change replaces tasks.

    `extensions` is no member of the Engine API: the API's commands fill it from the service's
    extension label, whatever a client sends, and the API never shows it.
    """

    container_spec: ContainerSpec | None = None
    resources: ResourceRequirements | None = None
    restart_policy: RestartPolicy | None = None
    placement: Placement | None = None
    networks: tuple[NetworkAttachmentConfig, ...] = ()
    log_driver: Driver | None = None
    force_update: Uint64 = always(0)
    runtime: str = ""
    extensions: TaskExtensions | None = msgspec.field(default=None, name=EXTENSIONS_MEMBER)


class ReplicatedMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A number of equal tasks; absent means 1."""

    replicas: Uint64 | None = None


class GlobalMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """One task on every node that fits."""


class ReplicatedJobMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A number of tasks that each run to their end; absent means 1 and `max_concurrent`."""

    max_concurrent: int | None = None
    total_completions: int | None = None


class GlobalJobMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """One task on every node that fits, each of which runs to its end once."""


ModeName = Literal["replicated", "global", "replicated-job", "global-job"]
"""The modes as filters of the API spell them."""


class ServiceMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Exactly one member is set in an accepted service."""

    replicated: ReplicatedMode | None = None
    global_: GlobalMode | None = msgspec.field(default=None, name="Global")
    replicated_job: ReplicatedJobMode | None = None
    global_job: GlobalJobMode | None = None

    @property
    def name(self) -> ModeName:
        """Which member is set; replicated if none is."""
        if self.global_ is not None:
            return "global"
        if self.replicated_job is not None:
            return "replicated-job"
        return "replicated" if self.global_job is None else "global-job"


class ServiceSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a service, as the Docker Engine API spells it.

    `networks` are those of the task template once more, where a client named them here, as old ones
    do: it is shown what it said. Nothing else looks at them.
    """

    name: str = ""
    labels: Labels = always({})
    task_template: TaskSpec = always(TaskSpec())
    mode: ServiceMode | None = None
    networks: tuple[NetworkAttachmentConfig, ...] = ()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    endpoint_spec: EndpointSpec | None = None

    @property
    def replicas(self) -> int:
        """Wanted number of tasks of a replicated service."""
        mode = self.mode
        if mode is None or mode.replicated is None or mode.replicated.replicas is None:
            return 1
        return mode.replicated.replicas

    @property
    def mode_name(self) -> ModeName:
        """The service's mode."""
        return "replicated" if self.mode is None else self.mode.name

    @property
    def is_global(self) -> bool:
        """Whether every fitting node runs one task, for good or to its end."""
        return self.mode_name in {"global", "global-job"}

    @property
    def is_job(self) -> bool:
        """Whether its tasks run to their end, and are not replaced then."""
        return self.mode_name in {"replicated-job", "global-job"}

    @property
    def max_concurrent(self) -> int:
        """How many tasks of a replicated job may be at work at once."""
        job = self.mode.replicated_job if self.mode else None
        return 1 if job is None or job.max_concurrent is None else job.max_concurrent

    @property
    def total_completions(self) -> int:
        """How many tasks of a replicated job must run to their end."""
        job = self.mode.replicated_job if self.mode else None
        if job is None or job.total_completions is None:
            return self.max_concurrent
        return job.total_completions


UpdateState = Literal[
    "updating", "paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"
]


class FailedSlot(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """A slot whose new task failed too early, and when; such a slot counts once an update."""

    place: str  # a slot number or the ID of a node, as text
    at: Timestamp


class UpdateStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How far the replacement of tasks after a change of the spec has come.

    The first four members are what the API shows.  The others are what a new leader must know to
    go on as the last one would have: since when the tasks move in the present direction, how many
    slots were outdated then, and which of them failed and were forgiven.
    """

    state: UpdateState
    started_at: Timestamp = Timestamp(0)
    completed_at: Timestamp = Timestamp(0)
    message: str = ""
    since: Timestamp = Timestamp(0)
    outdated_slots: int = 0  # 0 until they have been counted
    failed_slots: tuple[FailedSlot, ...] = ()


class Service(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="service", tag_field="kind"):
    """A wish the cluster has accepted.

    Writers: `spec`, `previous_spec`, `spec_version` the API's commands, and the rolling update
    when it rolls back; `update_status` the rolling update, and the command that begins a
    rollback; `job_iteration` and `job_began_at` the commands; the credentials as the specs they
    belong to; `endpoint` the commands for its ports, the allocator for its addresses.
    """

    id: ServiceId
    meta: Meta
    spec: ServiceSpec
    spec_version: int  # store revision of the last change of the spec
    previous_spec: ServiceSpec | None = None
    update_status: UpdateStatus | None = None
    job_iteration: int = 0  # how many times a job was changed, and so run anew
    job_began_at: Timestamp = Timestamp(0)  # when it was last run anew; 0 if it is no job
    registry_auth: RegistryAuth | None = None  # the last that a client sent
    previous_registry_auth: RegistryAuth | None = None  # those of `previous_spec`
    endpoint: ServiceEndpoint = ServiceEndpoint()
