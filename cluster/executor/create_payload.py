"""Turns a task into the engine's container-create request.

Whatever this version cannot do is refused by name: a container that silently lacks what its
service asks for would be worse than none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final

from cluster.errors import InvalidArgument, Unimplemented
from cluster.executor.extension_payload import (
    config_settings,
    extensions_of,
    host_ips,
    host_settings,
    newer_settings,
    security_options,
)
from cluster.executor.templates import Templates
from cluster.model.container import ContainerSpec, HealthCheck, Mount, Privileges
from cluster.model.ids import ClusterId
from cluster.model.network import PREDEFINED_NETWORKS
from cluster.model.node import NodeDescription
from cluster.model.resources import ResourceRequirements
from cluster.model.task import Task
from cluster.model.units import SECOND_NS
from cluster.model.update_policy import DEFAULT_STOP_GRACE_PERIOD_NS

Json = dict[str, Any]
ApiVersion = tuple[int, int]

CLUSTER_LABEL: Final = "com.stackyard.cluster"
TASK_LABEL: Final = "com.docker.swarm.task.id"
_MOUNT_TARGET: Final = "ContainerSpec.Mounts target"


def create_payload(
    task: Task, node: NodeDescription, cluster_id: ClusterId, api_version: ApiVersion
) -> Json:
    """Return the body of ``POST /containers/create`` for a task, without secrets and configs.

    Args:
        task: as assigned, to this node.
        node: this node, for templates.
        cluster_id: marks the container as ours.
        api_version: the engine's; it ignores newer settings, so they are refused here.

    Raises:
        InvalidArgument: the spec is wrong.
        Unimplemented: the spec needs what this version or the engine does not have.
    """
    spec = task.spec.container_spec
    if spec is None:
        raise InvalidArgument("TaskTemplate.ContainerSpec: is missing")
    _refuse_what_is_missing(task, spec, api_version)
    templates = Templates(task, node)
    config: Json = {
        "Image": spec.image,
        "Labels": _labels(task, spec, cluster_id),
        "HostConfig": _host_config(task, spec, templates, api_version),
        **config_settings(extensions_of(task).container),
        **_kept(
            ExposedPorts={key: {} for key in _port_bindings(task)},
            Entrypoint=list(spec.command),
            Cmd=list(spec.args),
            Env=[*_env(spec.env, templates), *_given_resources(task)],
            Hostname=templates.fill(spec.hostname, "ContainerSpec.Hostname"),
            User=spec.user,
            WorkingDir=spec.dir,
            Tty=spec.tty,
            OpenStdin=spec.open_stdin,
            StopSignal=spec.stop_signal,
            Healthcheck=_healthcheck(spec.health_check),
        ),
    }
    if spec.stop_grace_period is not None:
        config["StopTimeout"] = -(-spec.stop_grace_period // SECOND_NS)  # whole seconds, rounded up
    return config


def stop_grace_s(task: Task) -> float:
    """Return how long a task's container may take to stop, in seconds."""
    spec = task.spec.container_spec
    grace_ns = spec.stop_grace_period if spec is not None else None
    return (DEFAULT_STOP_GRACE_PERIOD_NS if grace_ns is None else grace_ns) / SECOND_NS


def _refuse_what_is_missing(task: Task, spec: ContainerSpec, api_version: ApiVersion) -> None:
    privileges = spec.privileges or Privileges()
    wanted = {
        f"TaskTemplate.Runtime {task.spec.runtime!r}": task.spec.runtime not in {"", "container"},
        "ContainerSpec.Privileges.CredentialSpec": privileges.credential_spec,
        f"ContainerSpec.Isolation {spec.isolation!r}": spec.isolation not in {"", "default"},
        **{
            f"ContainerSpec.Mounts type {mount.type!r}": mount.type
            not in {"bind", "volume", "tmpfs"}
            for mount in spec.mounts
        },
    }
    for what, is_wanted in wanted.items():
        if is_wanted:
            raise Unimplemented(f"{what}: this version cannot do that; remove it from the service")
    container = extensions_of(task).container
    for what, needed in (*_needs_newer_api(spec), *newer_settings(container)):
        if api_version < needed:
            raise Unimplemented(
                f"{what}: needs an engine with API {needed[0]}.{needed[1]}; this node's speaks "
                f"{api_version[0]}.{api_version[1]}"
            )


def _needs_newer_api(spec: ContainerSpec) -> Iterable[tuple[str, ApiVersion]]:
    if spec.health_check is not None and spec.health_check.start_interval:
        yield "ContainerSpec.Healthcheck.StartInterval", (1, 44)
    for mount in spec.mounts:
        bind, volume = mount.bind_options, mount.volume_options
        if bind is not None and bind.create_mountpoint:
            yield "BindOptions.CreateMountpoint", (1, 42)
        if bind is not None and (bind.read_only_non_recursive or bind.read_only_force_recursive):
            yield "BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive", (1, 44)
        if volume is not None and volume.subpath:
            yield "VolumeOptions.Subpath", (1, 45)


def _labels(task: Task, spec: ContainerSpec, cluster_id: ClusterId) -> Mapping[str, str]:
    return {
        **(spec.labels or {}),
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_name,
        "com.docker.swarm.task": "",
        TASK_LABEL: task.id,
        "com.docker.swarm.task.name": task.container_name,
        CLUSTER_LABEL: cluster_id,
    }


def _host_config(
    task: Task, spec: ContainerSpec, templates: Templates, api_version: ApiVersion
) -> Json:
    dns = spec.dns_config
    log_driver = task.spec.log_driver
    extensions = extensions_of(task).container
    as_tmpfs = [mount for mount in spec.mounts if _is_old_tmpfs(mount, api_version)]
    return {
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": _network_mode(task),
        **_resources(task.spec.resources),
        **host_settings(extensions, task.assigned_generic_resources),
        **_kept(
            PortBindings=_port_bindings(task),
            Init=spec.init,
            ReadonlyRootfs=spec.read_only,
            Mounts=[_mount(mount, templates) for mount in spec.mounts if mount not in as_tmpfs],
            Tmpfs={
                templates.fill(mount.target, _MOUNT_TARGET): _tmpfs_options(mount)
                for mount in as_tmpfs
            },
            CapAdd=list(spec.capability_add),
            CapDrop=list(spec.capability_drop),
            Sysctls=dict(spec.sysctls or {}),
            Ulimits=[{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in spec.ulimits],
            Dns=list(dns.nameservers) if dns else [],
            DnsSearch=list(dns.search) if dns else [],
            DnsOptions=list(dns.options) if dns else [],
            ExtraHosts=list(_extra_hosts(spec.hosts)),
            GroupAdd=list(spec.groups),
            SecurityOpt=[*_security_options(spec.privileges), *security_options(extensions)],
            OomScoreAdj=spec.oom_score_adj,
            LogConfig={"Type": log_driver.name, "Config": dict(log_driver.options or {})}
            if log_driver is not None
            else None,
        ),
    }


def _network_mode(task: Task) -> str:
    """Only the engine's predefined networks can be named; all others are the default bridge."""
    for network in task.spec.networks:
        if network.target in PREDEFINED_NETWORKS:
            return network.target
    return "bridge"


def _resources(requirements: ResourceRequirements | None) -> Json:
    if requirements is None:
        return {}
    limits, reservations = requirements.limits, requirements.reservations
    return _kept(
        Memory=limits.memory_bytes if limits else 0,
        NanoCpus=limits.nano_cpus if limits else 0,
        PidsLimit=limits.pids if limits else 0,
        MemoryReservation=reservations.memory_bytes if reservations else 0,
    )


def _port_bindings(task: Task) -> Json:
    """Publish the host-mode ports; published port 0 lets the engine choose."""
    bindings: dict[str, list[Json]] = {}
    for port in task.endpoint_spec.ports if task.endpoint_spec else ():
        if port.publish_mode == "host":
            protocol = port.protocol or "tcp"
            published = str(port.published_port) if port.published_port else ""
            bindings.setdefault(f"{port.target_port}/{protocol}", []).extend(
                _kept(HostIp=address) | {"HostPort": published}
                for address in host_ips(task, port.target_port, port.published_port, protocol)
            )
    return bindings


def _env(entries: Iterable[str], templates: Templates) -> list[str]:
    filled = []
    for index, entry in enumerate(entries):
        name, sign, value = entry.partition("=")
        if not name:
            raise InvalidArgument(f"ContainerSpec.Env[{index}]: has no name before its value")
        filled.append(f"{name}{sign}{templates.fill(value, f'ContainerSpec.Env {name}')}")
    return filled


def _given_resources(task: Task) -> Iterable[str]:
    """Tell the container which generic resources are its own, in Docker Swarm's variables."""
    by_kind: dict[str, list[str]] = {}
    for resource in task.assigned_generic_resources:
        if (named := resource.named_resource_spec) is not None:
            by_kind.setdefault(named.kind, []).append(named.value)
        elif (discrete := resource.discrete_resource_spec) is not None:
            by_kind.setdefault(discrete.kind, []).append(str(discrete.value))
    for kind, values in by_kind.items():
        yield f"DOCKER_RESOURCE_{kind.upper()}={','.join(values)}"


def _healthcheck(check: HealthCheck | None) -> Json:
    if check is None:
        return {}
    return _kept(
        Test=list(check.test),
        Interval=check.interval,
        Timeout=check.timeout,
        Retries=check.retries,
        StartPeriod=check.start_period,
        StartInterval=check.start_interval,
    )


def _mount(mount: Mount, templates: Templates) -> Json:
    target = templates.fill(mount.target, _MOUNT_TARGET)
    bind, volume, tmpfs = mount.bind_options, mount.volume_options, mount.tmpfs_options
    options: Json = {}
    if mount.type == "bind" and bind is not None:
        options["BindOptions"] = _kept(
            Propagation=bind.propagation,
            NonRecursive=bind.non_recursive,
            CreateMountpoint=bind.create_mountpoint,
            ReadOnlyNonRecursive=bind.read_only_non_recursive,
            ReadOnlyForceRecursive=bind.read_only_force_recursive,
        )
    if mount.type == "volume" and volume is not None:
        driver = volume.driver_config
        options["VolumeOptions"] = _kept(
            NoCopy=volume.no_copy,
            Labels=_filled(volume.labels, templates, f"ContainerSpec.Mounts {target} label"),
            DriverConfig=_kept(
                Name=driver.name,
                Options=_filled(driver.options, templates, f"ContainerSpec.Mounts {target} option"),
            )
            if driver is not None
            else None,
            Subpath=volume.subpath,
        )
    if mount.type == "tmpfs" and tmpfs is not None:
        options["TmpfsOptions"] = _kept(
            SizeBytes=tmpfs.size_bytes,
            Mode=tmpfs.mode,
            Options=[list(option) for option in tmpfs.options],
        )
    return {
        "Type": mount.type,
        "Target": target,
        **_kept(
            Source=templates.fill(mount.source, f"ContainerSpec.Mounts {target} source"),
            ReadOnly=mount.read_only,
            Consistency=mount.consistency,
        ),
        **options,
    }


def _filled(texts: Mapping[str, str] | None, templates: Templates, place: str) -> dict[str, str]:
    return {name: templates.fill(text, f"{place} {name}") for name, text in (texts or {}).items()}


def _is_old_tmpfs(mount: Mount, api_version: ApiVersion) -> bool:
    """Whether a tmpfs has options that an older engine knows in ``HostConfig.Tmpfs`` only."""
    options = mount.tmpfs_options
    return (
        mount.type == "tmpfs"
        and options is not None
        and bool(options.options)
        and api_version < (1, 46)
    )


def _tmpfs_options(mount: Mount) -> str:
    options = mount.tmpfs_options
    assert options is not None
    words = ["ro"] if mount.read_only else []
    words += [f"size={options.size_bytes}"] if options.size_bytes else []
    words += [f"mode={options.mode:o}"] if options.mode else []
    return ",".join((*words, *("=".join(option) for option in options.options)))


def _extra_hosts(entries: Iterable[str]) -> Iterable[str]:
    """Turn lines of a hosts file (address, then names) into the engine's ``name:address``."""
    for index, entry in enumerate(entries):
        address, *names = entry.split() or [""]
        if not names:
            raise InvalidArgument(
                f"ContainerSpec.Hosts[{index}]: {entry!r} is not an address and a name"
            )
        yield from (f"{name}:{address}" for name in names)


def _security_options(privileges: Privileges | None) -> list[str]:
    if privileges is None:
        return []
    options = []
    selinux = privileges.se_linux_context
    if selinux is not None and selinux.disable:
        options.append("label=disable")
    elif selinux is not None:
        parts = _kept(user=selinux.user, role=selinux.role, type=selinux.type, level=selinux.level)
        options += [f"label={name}:{value}" for name, value in parts.items()]
    if privileges.seccomp is not None:
        options += _seccomp(privileges.seccomp.mode, privileges.seccomp.profile)
    if privileges.app_armor is not None and privileges.app_armor.mode == "disabled":
        options.append("apparmor=unconfined")
    if privileges.no_new_privileges:
        options.append("no-new-privileges")
    return options


def _seccomp(mode: str, profile: str) -> list[str]:
    match mode:
        case "" | "default":
            return []
        case "unconfined":
            return ["seccomp=unconfined"]
        case "custom":
            try:
                return [f"seccomp={base64.b64decode(profile, validate=True).decode()}"]
            except (binascii.Error, UnicodeDecodeError) as error:
                raise InvalidArgument(
                    "ContainerSpec.Privileges.Seccomp.Profile: is not base64 of a JSON text"
                ) from error
        case _:
            raise InvalidArgument(
                f"ContainerSpec.Privileges.Seccomp.Mode: {mode!r} is none of default, "
                "unconfined, custom"
            )


def _kept(**settings: Any) -> Json:
    """Leave out what is not set: the engine then takes the image's or its own default."""
    return {
        name: value
        for name, value in settings.items()
        if value or (name == "Init" and value is not None)
    }
