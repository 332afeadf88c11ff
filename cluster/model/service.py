"""A service: a user's wish for tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cluster.model.container import ContainerSpec, Driver
from cluster.model.endpoint import EndpointSpec
from cluster.model.extensions import TaskExtensions
from cluster.model.ids import ServiceId
from cluster.model.meta import Meta
from cluster.model.placement import Placement
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


class ServiceMode(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Exactly one member is set in an accepted service."""

    replicated: ReplicatedMode | None = None
    global_: GlobalMode | None = msgspec.field(default=None, name="Global")


class ServiceSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A user's wish for a service, as the Docker Engine API spells it."""

    name: str = ""
    labels: Labels = always({})
    task_template: TaskSpec = always(TaskSpec())
    mode: ServiceMode | None = None
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
    def is_global(self) -> bool:
        """Whether every fitting node runs one task."""
        return self.mode is not None and self.mode.global_ is not None


class UpdateStatus(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """How far the replacement of tasks after a change of the spec has come."""

    state: str
    started_at: Timestamp = Timestamp(0)
    completed_at: Timestamp = Timestamp(0)
    message: str = ""


class Service(ObjectStruct, frozen=True, kw_only=True, gc=False, tag="service", tag_field="kind"):
    """A wish the cluster has accepted.

    Writers: `spec`, `previous_spec`, `spec_version` the API's commands; `update_status` the
    rolling update.
    """

    id: ServiceId
    meta: Meta
    spec: ServiceSpec
    spec_version: int  # store revision of the last change of the spec
    previous_spec: ServiceSpec | None = None
    update_status: UpdateStatus | None = None
