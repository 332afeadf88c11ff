"""What makes the spec of a service acceptable.

Each check names the member, the value and what would be right.  What the cluster can't honour in
this version is refused rather than dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from cluster.api.commands.container_check import check_container
from cluster.errors import InvalidArgument, Unimplemented
from cluster.model.constraint import parse as parse_constraint
from cluster.model.container import ContainerSpec, Mount
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.network import PREDEFINED_NETWORKS
from cluster.model.placement import Placement
from cluster.model.resources import GenericResource, Limits, Resources
from cluster.model.service import ServiceMode, ServiceSpec, TaskSpec
from cluster.model.update_policy import RestartPolicy, UpdateConfig

MAX_NAME_LENGTH = 63
MAX_REPLICAS = 100_000
"""Far more than a cluster of this version can run; stops a slip of the finger."""

_MIN_MEMORY_BYTES = 4 * 1024 * 1024
_MIN_NANO_CPUS = 1_000_000
_MAX_PORT = 65_535
_MESH_PROTOCOLS = (None, "tcp", "udp")
_ENDPOINT_MODES = ("", "vip", "dnsrr")
_MOUNT_TYPES = ("bind", "volume", "tmpfs", "npipe", "cluster", "image")

_NAME = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*")

# An image's name as the registries know it: host and port, path, tag, digest.
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.?)+(?::[0-9]+)?"
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PATH_PART}(?:/{_PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?"
)


def check_service_spec(spec: ServiceSpec) -> None:
    """Check everything about a spec that can be told without the cluster's state.

    Raises:
        InvalidArgument: a member that is wrong.
        Unimplemented: a wish that this version can't fulfil.
    """
    _check_name(spec.name)
    _check_mode(spec.mode)
    _check_template(spec.task_template)
    _check_update_of_job(spec)
    _check_update("UpdateConfig", spec.update_config)
    _check_update("RollbackConfig", spec.rollback_config)
    if spec.endpoint_spec is not None:
        _check_endpoint(spec.endpoint_spec)


def check_published_networks(template: TaskSpec, ports: Iterable[PortConfig]) -> None:
    """Check that tasks can be in the network of published ports, where the spec has such ports.

    Raises:
        InvalidArgument: they have their network from the node.
    """
    published = [port for port in ports if port.publish_mode != "host"]
    for number, attachment in enumerate(template.networks if published else ()):
        if attachment.target in PREDEFINED_NETWORKS:
            raise InvalidArgument(
                f"TaskTemplate.Networks[{number}]: {attachment.target}: port "
                f"{published[0].target_port} is published in mode ingress, which leads to tasks in "
                "networks of the cluster only; leave the network out, or the port: in the network "
                "host a program's ports are the node's own"
            )


def _check_name(name: str) -> None:
    if not name:
        raise InvalidArgument("Name: it is required")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidArgument(f"Name: name must be {MAX_NAME_LENGTH} characters or fewer: {name!r}")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"Name: name must be valid as a DNS name component: {name!r} may hold letters, digits, "
            "- and _, and must begin and end with a letter or digit"
        )


def _check_mode(mode: ServiceMode | None) -> None:
    members = (mode.replicated, mode.global_, mode.replicated_job, mode.global_job) if mode else ()
    if mode is None or sum(member is not None for member in members) != 1:
        raise InvalidArgument(
            "Mode: must specify only one service mode: Replicated, Global, ReplicatedJob or "
            "GlobalJob"
        )
    if mode.replicated is not None:
        _check_number("Mode.Replicated.Replicas", mode.replicated.replicas)
    job = mode.replicated_job
    if job is not None:
        _check_number("Mode.ReplicatedJob.MaxConcurrent", job.max_concurrent)
        _check_number("Mode.ReplicatedJob.TotalCompletions", job.total_completions)


def _check_number(place: str, number: int | None) -> None:
    if number is None or 0 <= number <= MAX_REPLICAS:
        return
    problem = "below 0" if number < 0 else f"above {MAX_REPLICAS}, the most of a service"
    raise InvalidArgument(f"{place}: {number} is {problem}")


def _check_update_of_job(spec: ServiceSpec) -> None:
    if spec.is_job and spec.update_config is not None:
        raise InvalidArgument("UpdateConfig: Jobs may not have an update config")


def _check_template(template: TaskSpec) -> None:
    container = template.container_spec
    if container is None:
        raise InvalidArgument("TaskTemplate.ContainerSpec: it is required")
    _check_container(container)
    if template.resources is not None:
        _check_resources("Limits", template.resources.limits)
        _check_resources("Reservations", template.resources.reservations)
        limits = template.resources.limits
        if limits is not None and limits.pids < 0:
            raise InvalidArgument(f"TaskTemplate.Resources.Limits.Pids: {limits.pids} is below 0")
    if template.restart_policy is not None:
        _check_restart(template.restart_policy)
    if template.placement is not None:
        _check_placement(template.placement)
    if template.force_update < 0:
        raise InvalidArgument("TaskTemplate.ForceUpdate: a negative number")


def _check_container(container: ContainerSpec) -> None:
    place = "TaskTemplate.ContainerSpec"
    if not container.image:
        raise InvalidArgument(f"{place}.Image: image reference must be provided")
    if not _IMAGE.fullmatch(container.image):
        raise InvalidArgument(
            f'{place}.Image: "{container.image}" is not a valid repository/tag '
            "(the repository's name must be lower case)"
        )
    if container.stop_grace_period is not None and container.stop_grace_period < 0:
        raise InvalidArgument(f"{place}.StopGracePeriod: a negative duration")
    _check_mounts(container.mounts)
    check_container(container)


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    targets = set()
    for number, mount in enumerate(mounts):
        place = f"TaskTemplate.ContainerSpec.Mounts[{number}]"
        if mount.type not in _MOUNT_TYPES:
            raise InvalidArgument(f"{place}.Type: {mount.type!r} is none of bind, volume, tmpfs")
        if mount.type == "cluster":
            raise Unimplemented(f"{place}.Type: cluster volumes are not in this version")
        if not mount.target:
            raise InvalidArgument(f"{place}.Target: it is required")
        if mount.type == "bind" and not mount.source.startswith("/"):
            raise InvalidArgument(f"{place}.Source: {mount.source!r} is not an absolute path")
        if mount.target in targets:
            raise InvalidArgument(f"{place}.Target: duplicate mount point: {mount.target}")
        targets.add(mount.target)


def _check_resources(kind: str, resources: Limits | Resources | None) -> None:
    if resources is None:
        return
    place = f"TaskTemplate.Resources.{kind}"
    memory, cpus = resources.memory_bytes, resources.nano_cpus
    if memory and memory < _MIN_MEMORY_BYTES:
        raise InvalidArgument(
            f"{place}.MemoryBytes: invalid memory value {memory}: Must be at least 4MiB"
        )
    if cpus and cpus < _MIN_NANO_CPUS:
        raise InvalidArgument(
            f"{place}.NanoCPUs: invalid cpu value {cpus / 1e9:g}: Must be at least 0.001"
        )

    generic = resources.generic_resources if isinstance(resources, Resources) else ()
    for number, resource in enumerate(generic):
        _check_generic(f"{place}.GenericResources[{number}]", resource)


def _check_generic(place: str, resource: GenericResource) -> None:
    named, discrete = resource.named_resource_spec, resource.discrete_resource_spec
    if (named is None) == (discrete is None):
        raise InvalidArgument(f"{place}: give either NamedResourceSpec or DiscreteResourceSpec")
    if named is not None and not (named.kind and named.value):
        raise InvalidArgument(f"{place}.NamedResourceSpec: Kind and Value are required")
    if discrete is not None and not discrete.kind:
        raise InvalidArgument(f"{place}.DiscreteResourceSpec.Kind: it is required")
    if discrete is not None and discrete.value < 1:
        raise InvalidArgument(f"{place}.DiscreteResourceSpec.Value: {discrete.value} is below 1")


def _check_restart(policy: RestartPolicy) -> None:
    place = "TaskTemplate.RestartPolicy"
    for name, value in (
        ("Delay", policy.delay),
        ("MaxAttempts", policy.max_attempts),
        ("Window", policy.window),
    ):
        if value is not None and value < 0:
            raise InvalidArgument(f"{place}.{name}: {value} is below 0")


def _check_placement(placement: Placement) -> None:
    for number, text in enumerate(placement.constraints):
        try:
            parse_constraint(text)
        except (InvalidArgument, ValueError) as error:
            place = f"TaskTemplate.Placement.Constraints[{number}]"
            raise InvalidArgument(f"{place}: {error}") from None
    for number, preference in enumerate(placement.preferences):
        place = f"TaskTemplate.Placement.Preferences[{number}]"
        if preference.spread is None or not preference.spread.spread_descriptor:
            raise InvalidArgument(f"{place}.Spread.SpreadDescriptor: it is required")
    if placement.max_replicas < 0:
        raise InvalidArgument(
            f"TaskTemplate.Placement.MaxReplicas: {placement.max_replicas} is below 0"
        )


def _check_update(place: str, config: UpdateConfig | None) -> None:
    if config is None:
        return
    for name, value in (
        ("Parallelism", config.parallelism),
        ("Delay", config.delay),
        ("Monitor", config.monitor),
    ):
        if value < 0:
            raise InvalidArgument(f"{place}.{name}: {value} is below 0")
    if not 0 <= config.max_failure_ratio <= 1:
        raise InvalidArgument(
            f"{place}.MaxFailureRatio: {config.max_failure_ratio} is not between 0 and 1"
        )


def _check_endpoint(endpoint: EndpointSpec) -> None:
    if endpoint.mode not in _ENDPOINT_MODES:
        raise InvalidArgument(f"EndpointSpec.Mode: {endpoint.mode!r} is neither vip nor dnsrr")
    published = set()
    has_ingress = any(port.publish_mode != "host" for port in endpoint.ports)
    for number, port in enumerate(endpoint.ports):
        place = f"EndpointSpec.Ports[{number}]"
        _check_port(place, port, endpoint.mode)
        if has_ingress:
            _check_port_of_mesh(place, port)
        key = (port.protocol or "tcp", port.published_port)
        if port.published_port and key in published:
            raise InvalidArgument(
                f"{place}.PublishedPort: duplicate published ports provided: "
                f"{port.published_port}/{key[0]}"
            )
        published.add(key)


def _check_port(place: str, port: PortConfig, mode: str) -> None:
    if not 1 <= port.target_port <= _MAX_PORT:
        raise InvalidArgument(f"{place}.TargetPort: {port.target_port} is no port number")
    if not 0 <= port.published_port <= _MAX_PORT:
        raise InvalidArgument(f"{place}.PublishedPort: {port.published_port} is no port number")
    if port.publish_mode != "host" and mode == "dnsrr":
        raise InvalidArgument(
            f"{place}: port published with ingress mode can't be used with dnsrr mode"
        )


def _check_port_of_mesh(place: str, port: PortConfig) -> None:
    """Check a port of mode ingress, or one beside it: then both are published by the mesh."""
    if port.protocol not in _MESH_PROTOCOLS:
        raise Unimplemented(
            f"{place}.Protocol: {port.protocol} ports cannot be published in mode ingress, nor "
            "beside a port in mode ingress: use mode=host for all ports of the service"
        )
    if port.publish_mode == "host" and not port.published_port:
        raise Unimplemented(
            f"{place}.PublishedPort: a port in mode host beside one in mode ingress must be named"
        )
