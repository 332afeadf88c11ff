"""What a group of tasks asks of its node."""

from __future__ import annotations

from cluster.model.constraint import Constraint, parse_all
from cluster.model.device_claims import claims_of, shared_kinds_of
from cluster.model.endpoint import EndpointSpec
from cluster.model.generic_resources import NO_WISH, Wish, wish_of
from cluster.model.ids import NetworkId, ServiceId
from cluster.model.placement import Placement, Platform
from cluster.model.resources import Resources
from cluster.model.service import TaskSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task
from cluster.store.state import ClusterState

Port = tuple[str, int]
"""Protocol and number of a host-mode port."""

Place = tuple[ServiceId, int | str]
"""A slot of a service, the same for a task and for those it takes over from."""

Plugin = tuple[str, str]
"""Type and name of a plugin of the engine, as ("Volume", "nfs")."""

OWN_NETWORK_DRIVERS = frozenset({"", "overlay"})
"""Networks of these need no plugin of the engine: the cluster brings them itself."""

NO_RESOURCES = Resources()
_NO_ENDPOINT = EndpointSpec()
_NO_PLACEMENT = Placement()


class Nature(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What is asked of the node itself, whatever it carries: many services ask for the same."""

    constraints: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    needs_networks: bool = False  # of the cluster, which not every node can give


class Demand(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What every task of a group asks of its node."""

    service_id: ServiceId
    spec_version: int
    cpu_nano: int = 0
    memory_bytes: int = 0
    generic: Wish = NO_WISH  # with `devices`
    devices: Wish = NO_WISH  # what the requests for devices hold
    shared_devices: tuple[str, ...] = ()  # kinds of which the node must have any
    ports: tuple[Port, ...] = ()
    nature: Nature = Nature()
    constraints: tuple[Constraint, ...] = ()
    spread_over: tuple[str, ...] = ()
    max_replicas: int = 0


def demand_of(task: Task, state: ClusterState) -> Demand:
    """Return what a task asks of its node; equal for all tasks of a service and spec version.

    Args:
        task: one of the group.
        state: knows the networks that the task joins.

    Raises:
        InvalidArgument: a constraint cannot be parsed.
    """
    placement = task.spec.placement or _NO_PLACEMENT
    reserved = reservations_of(task)
    claims = tuple(claims_of(task.spec))
    return Demand(
        service_id=task.service_id,
        spec_version=task.spec_version,
        cpu_nano=reserved.nano_cpus,
        memory_bytes=reserved.memory_bytes,
        generic=wish_of((*reserved.generic_resources, *claims)),
        devices=wish_of(claims),
        shared_devices=shared_kinds_of(task.spec),
        ports=host_ports(task),
        nature=Nature(
            constraints=placement.constraints,
            platforms=placement.platforms,
            plugins=_plugins(task.spec, state),
            needs_networks=bool(task.networks),
        ),
        constraints=parse_all(placement.constraints),
        spread_over=placement.spread_over,
        max_replicas=placement.max_replicas,
    )


def place_of(task: Task) -> Place:
    """Return the task's slot."""
    return (task.service_id, task.place)


def reservations_of(task: Task) -> Resources:
    """Return what the task reserves; limits are not counted."""
    resources = task.spec.resources
    return (resources.reservations if resources else None) or NO_RESOURCES


def host_ports(task: Task) -> tuple[Port, ...]:
    """Return the ports of the node that the task needs for itself."""
    spec = task.endpoint_spec or _NO_ENDPOINT
    if not spec.ports:
        return ()
    return tuple(
        (p.protocol or "tcp", p.published_port)
        for p in spec.ports
        if p.publish_mode == "host" and p.published_port
    )


def _plugins(spec: TaskSpec, state: ClusterState) -> tuple[Plugin, ...]:
    """Return the drivers that the node's engine must have."""
    plugins: list[Plugin] = []
    container = spec.container_spec
    for mount in container.mounts if container else ():
        driver = mount.volume_options.driver_config if mount.volume_options else None
        if mount.type == "volume" and driver is not None and driver.name not in {"", "local"}:
            plugins.append(("Volume", driver.name))
    for attachment in spec.networks:
        network = state.network(NetworkId(attachment.target))
        if network is not None and network.spec.driver not in OWN_NETWORK_DRIVERS:
            plugins.append(("Network", network.spec.driver))
    if spec.log_driver is not None and spec.log_driver.name not in {"", "none"}:
        plugins.append(("Log", spec.log_driver.name))
    return tuple(plugins)
