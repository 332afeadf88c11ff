"""Rules about files and volumes: what is on one machine is not on all nodes."""

from __future__ import annotations

from collections.abc import Iterator

from stack.check.finding import Severity
from stack.check.project import Part, Project, ServicePart
from stack.check.rule import Found, Rule

_OF_THE_SYSTEM = ("/etc/localtime", "/etc/timezone", "/proc", "/sys", "/dev", "/run/udev")
_ENGINE_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


def _mounts(project: Project, kind: str) -> Iterator[tuple[ServicePart, Part, str]]:
    for service in project.services:
        for mount in service.items("volumes"):
            if mount.text("type") == kind:
                yield service, mount, mount.text("source")


def _bind_relative(project: Project) -> Found:
    for _, mount, source in _mounts(project, "bind"):
        if project.is_relative(source, mount.place):
            yield mount.place, f"{source} is a path of this machine; other nodes do not have it"


def _bind_absolute(project: Project) -> Found:
    for _, mount, source in _mounts(project, "bind"):
        if not project.is_relative(source, mount.place) and not _is_known(source):
            yield mount.place, f"{source} must exist on every node that may run a task"


def _is_known(source: str) -> bool:
    known = (*_OF_THE_SYSTEM, *_ENGINE_SOCKETS)
    return any(source == path or source.startswith(f"{path}/") for path in known)


def _engine_socket(project: Project) -> Found:
    for service, mount, source in _mounts(project, "bind"):
        if source in _ENGINE_SOCKETS and not service.is_pinned:
            yield (
                mount.place,
                (
                    f"{source} is the engine of whichever node runs the task: it knows no "
                    "services, and only that node's containers"
                ),
            )


def _volume_replicas(project: Project) -> Found:
    for service, mount, source in _mounts(project, "volume"):
        if service.is_many and source and _is_local(project, source):
            yield (
                mount.place,
                f"{service.tasks} of {service.name}: each node has a volume {source} of its own",
            )


def _volume_moves(project: Project) -> Found:
    for service, mount, source in _mounts(project, "volume"):
        if service.is_many or service.is_pinned or not source:
            continue
        if _is_local(project, source):
            yield (
                mount.place,
                f"the data of {source} stays behind when {service.name} moves to another node",
            )


def _is_local(project: Project, key: str) -> bool:
    """Whether a volume lives on one node: the local driver, unless it mounts a network's share."""
    volume = project.volumes.get(key)
    if volume is None:
        return True
    options = volume.below("driver_opts")
    if options.text("type").startswith(("nfs", "cifs", "smb", "ceph", "glusterfs")):
        return False
    return volume.text("driver") in {"", "local"} and not volume.has("x-cluster-spec")


def _volume_external(project: Project) -> Found:
    for key, volume in project.volumes.items():
        if volume.has("external") and volume.text("external") != "false":
            yield volume.place, f"the volume {key} is made by nobody: it must be on every node"


def _volume_device(project: Project) -> Found:
    for volume in project.volumes.values():
        options = volume.below("driver_opts")
        device = options.text("device")
        if volume.text("driver") in {"", "local"} and project.is_relative(
            device, options.at("device")
        ):
            yield options.at("device"), f"{device} is a path of this machine"


def _volume_anonymous(project: Project) -> Found:
    for _, mount, source in _mounts(project, "volume"):
        if not source:
            yield (
                mount.place,
                (
                    f"the volume at {mount.text('target')} has no name: each new task begins with "
                    "an empty one"
                ),
            )


RULES = (
    Rule(
        "bind-relative",
        Severity.ERROR,
        "Bind mount of the project's folder",
        "The path is looked up on the node that runs the task, where the project's folder is not.",
        "copy the files into the image, or use a named volume for data",
        _bind_relative,
    ),
    Rule(
        "bind-absolute",
        Severity.WARNING,
        "Bind mount of a path of the node",
        "A task whose node lacks the path is rejected; nodes that have it have different content.",
        "use a named volume, or keep the service on nodes that have the path: "
        "deploy.placement.constraints",
        _bind_absolute,
    ),
    Rule(
        "engine-socket",
        Severity.WARNING,
        "The engine's socket is mounted",
        "An engine knows its own containers only. A manager's stackd serves the whole cluster on "
        "its socket.",
        "mount stackd's socket (/run/stackyard/stackd.sock) and keep the service on managers: "
        "constraints: [node.role == manager]",
        _engine_socket,
    ),
    Rule(
        "volume-replicas",
        Severity.WARNING,
        "Local volume with several tasks",
        "Volumes of the driver local are made on each node and share nothing.",
        "use a volume driver that reaches all nodes (driver_opts with type nfs), or keep the data "
        "in a service with one task",
        _volume_replicas,
    ),
    Rule(
        "volume-moves",
        Severity.WARNING,
        "Local volume of a service that may move",
        "When the node fails or is drained, the new task begins with an empty volume elsewhere.",
        "keep the service where its data is (constraints: [node.labels.data == true]), or use a "
        "volume driver that reaches all nodes",
        _volume_moves,
    ),
    Rule(
        "volume-external",
        Severity.NOTE,
        "External volume",
        "Nothing makes it; an engine that does not have it makes an empty one in silence.",
        "make the volume on each node, or describe its driver here",
        _volume_external,
    ),
    Rule(
        "volume-device",
        Severity.ERROR,
        "Volume over a path of the project's folder",
        "The local driver looks the path up on the node that runs the task.",
        "use an absolute path that every node has, or a network file system",
        _volume_device,
    ),
    Rule(
        "volume-anonymous",
        Severity.NOTE,
        "Volume without a name",
        "It belongs to one container and goes with it; on one machine, compose carries it over to "
        "the next.",
        "give the volume a name, or say tmpfs if the data may be lost",
        _volume_anonymous,
    ),
)
