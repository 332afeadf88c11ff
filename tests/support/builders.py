"""Short ways to make stored objects."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.model.cluster import Cluster, ClusterSpec, OrchestrationConfig, RootCa
from cluster.model.container import ContainerSpec
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.extensions import ContainerExtensions, DeviceRequest, TaskExtensions
from cluster.model.ids import ClusterId, NetworkId, NewId, NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkAllocation, NetworkSpec
from cluster.model.node import EngineDescription, Node, NodeDescription, NodeSpec, NodeStatus
from cluster.model.objects import StoredObject
from cluster.model.placement import Placement, PlacementPreference, Platform, SpreadOver
from cluster.model.resources import ResourceRequirements, Resources
from cluster.model.service import (
    GlobalJobMode,
    GlobalMode,
    NetworkAttachmentConfig,
    ReplicatedJobMode,
    ReplicatedMode,
    Service,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
)
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, Timestamp
from cluster.model.update_policy import RestartPolicy, UpdateConfig
from cluster.store.change import Created
from cluster.store.state import ClusterState

GIB = 1 << 30
CPU = 1_000_000_000


def seconds(number: float) -> Timestamp:
    return Timestamp(round(number * SECOND_NS))


def counting_ids(prefix: str = "t") -> NewId:
    """Return a maker of identifiers t1, t2, ..."""
    counter = 0

    def new_id() -> str:
        nonlocal counter
        counter += 1
        return f"{prefix}{counter}"

    return new_id


def make_node(
    node_id: str,
    *,
    state: Any = "ready",
    availability: Any = "active",
    labels: Mapping[str, str] | None = None,
    engine_labels: Mapping[str, str] | None = None,
    role: Any = "worker",
    hostname: str | None = None,
    addr: str = "",
    cpus: float = 4,
    memory: int = 8 * GIB,
    generic: tuple[Any, ...] = (),
    arch: str = "x86_64",
    since: float = 0,
) -> Node:
    return Node(
        id=NodeId(node_id),
        meta=Meta(),
        spec=NodeSpec(labels=labels or {}, availability=availability, role=role),
        role=role,
        description=NodeDescription(
            hostname=hostname if hostname is not None else node_id,
            platform=Platform(architecture=arch, os="linux"),
            resources=Resources(
                nano_cpus=round(cpus * CPU), memory_bytes=memory, generic_resources=generic
            ),
            engine=EngineDescription(labels=engine_labels),
        ),
        status=NodeStatus(state=state, addr=addr, since=seconds(since)),
    )


def make_task_spec(
    *,
    image: str = "web:1",
    constraints: Sequence[str] = (),
    spread: Sequence[str] = (),
    max_replicas: int = 0,
    platforms: Sequence[Platform] = (),
    cpus: float = 0,
    memory: int = 0,
    generic: tuple[Any, ...] = (),
    restart: RestartPolicy | None = None,
    force_update: int = 0,
    networks: Sequence[str] = (),
    devices: Sequence[DeviceRequest] = (),
) -> TaskSpec:
    placement = Placement(
        constraints=tuple(constraints),
        preferences=tuple(
            PlacementPreference(spread=SpreadOver(spread_descriptor=s)) for s in spread
        ),
        max_replicas=max_replicas,
        platforms=tuple(platforms),
    )
    reserved = Resources(
        nano_cpus=round(cpus * CPU), memory_bytes=memory, generic_resources=generic
    )
    extended = ContainerExtensions(device_requests=tuple(devices))
    return TaskSpec(
        container_spec=ContainerSpec(image=image),
        placement=None if placement == Placement() else placement,
        resources=None if reserved == Resources() else ResourceRequirements(reservations=reserved),
        restart_policy=restart,
        force_update=force_update,
        networks=tuple(NetworkAttachmentConfig(target=n) for n in networks),
        extensions=TaskExtensions(container=extended) if devices else None,
    )


def make_service(
    service_id: str,
    *,
    replicas: int = 1,
    is_global: bool = False,
    job: ReplicatedJobMode | GlobalJobMode | None = None,
    iteration: int = 0,
    update: UpdateConfig | None = None,
    rollback: UpdateConfig | None = None,
    host_ports: Sequence[int] = (),
    ingress_ports: Sequence[int] = (),
    endpoint_mode: str = "",
    labels: Mapping[str, str] | None = None,
    spec_version: int = 1,
    **task_spec: Any,
) -> Service:
    mode = (
        ServiceMode(global_=GlobalMode())
        if is_global
        else ServiceMode(replicated=ReplicatedMode(replicas=replicas))
    )
    if isinstance(job, ReplicatedJobMode):
        mode = ServiceMode(replicated_job=job)
    elif job is not None:
        mode = ServiceMode(global_job=job)
    return Service(
        id=ServiceId(service_id),
        meta=Meta(),
        spec=ServiceSpec(
            name=service_id,
            labels=labels or {},
            mode=mode,
            task_template=make_task_spec(**task_spec),
            update_config=update,
            rollback_config=rollback,
            endpoint_spec=make_endpoint(host_ports, ingress_ports, endpoint_mode),
        ),
        spec_version=spec_version,
        job_iteration=iteration,
    )


def make_network(
    network_id: str,
    *,
    subnet: str = "",
    is_ingress: bool = False,
    vni: int = 0x100000,
    is_internal: bool = False,
    options: Mapping[str, str] | None = None,
) -> Network:
    """Make a network; without a subnet it has nothing allocated yet."""
    allocation = None
    if subnet:
        gateway = str(ipaddress.IPv4Network(subnet).network_address + 1)
        allocation = NetworkAllocation(vni=vni, subnet=subnet, gateway=gateway, ip_range=subnet)
    spec = NetworkSpec(
        name=network_id,
        driver="overlay",
        ingress=is_ingress,
        internal=is_internal,
        options=options,
    )
    return Network(id=NetworkId(network_id), meta=Meta(), spec=spec, allocation=allocation)


def make_endpoint(
    host_ports: Sequence[int], ingress_ports: Sequence[int] = (), mode: str = ""
) -> EndpointSpec | None:
    if not host_ports and not ingress_ports and not mode:
        return None
    ports = tuple(
        PortConfig(target_port=p, published_port=p, publish_mode=published, protocol="tcp")
        for published, numbers in (("host", host_ports), ("ingress", ingress_ports))
        for p in numbers
    )
    return EndpointSpec(mode=mode, ports=ports)


def make_task(
    task_id: str,
    service: Service,
    *,
    slot: int = 1,
    node: str = "",
    state: TaskState = TaskState.RUNNING,
    desired: TaskState = TaskState.RUNNING,
    at: float = 0,
    made_at: float = 0,
    start_after: float = 0,
    restarts: int = 0,
    message: str = "",
    error: str = "",
    running_since: float | None = None,
    spec_version: int | None = None,
    spec: TaskSpec | None = None,
) -> Task:
    """Make a task; times in seconds: `at` of its status, `made_at` of its creation."""
    return Task(
        id=TaskId(task_id),
        meta=Meta(created_at=seconds(made_at), updated_at=seconds(max(at, made_at))),
        service_id=service.id,
        service_name=service.spec.name,
        slot=0 if service.spec.is_global else slot,
        node_id=NodeId(node),
        spec=service.spec.task_template if spec is None else spec,
        spec_version=service.spec_version if spec_version is None else spec_version,
        endpoint_spec=service.spec.endpoint_spec,
        desired_state=desired,
        status=TaskStatus(state=state, timestamp=seconds(at), message=message, error=error),
        start_after=seconds(start_after),
        restarts=restarts,
        running_since=seconds(at if running_since is None else running_since)
        if state is TaskState.RUNNING or running_since
        else seconds(0),
        mode=service.spec.mode_name,
        job_iteration=service.job_iteration,
    )


def make_cluster(*, task_history: int | None = None) -> Cluster:
    orchestration = OrchestrationConfig(task_history_retention_limit=task_history)
    return Cluster(
        id=ClusterId("cluster"),
        meta=Meta(),
        spec=ClusterSpec(orchestration=orchestration),
        root_ca=RootCa(cert_pem="", key_pem=""),
        worker_token="",
        manager_token="",
    )


def make_state(*objects: StoredObject) -> ClusterState:
    """Return a state with the objects as they are, versions and dates included."""
    return ClusterState().preview((Created(item) for item in objects), 1)
