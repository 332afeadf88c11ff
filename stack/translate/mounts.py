"""Mounts of a service, with the options of the volumes they name."""

from __future__ import annotations

from collections.abc import Mapping

from stack.compose.types import Compose, Mount, Service, Volume
from stack.engine.payloads import Json
from stack.translate.names import labelled, scoped

SHARED_MEMORY = "/dev/shm"  # noqa: S108 (a mount point in the container)
_SHARED_WITH_OTHERS = ("host", "none", "shareable")

_RECURSIVE = {
    "disabled": {"NonRecursive": True},
    "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}


def mount_payloads(compose: Compose, service: Service) -> list[Json]:
    """``ContainerSpec.Mounts``: those of the file, and one for the size of shared memory."""
    mounts = [_mount(compose.name, one, compose.volumes) for one in service.mounts]
    if is_shared_memory_mounted(service):
        size = {"SizeBytes": service.shm_size_bytes}
        mounts.append({"Type": "tmpfs", "Target": SHARED_MEMORY, "TmpfsOptions": size})
    return mounts


def is_shared_memory_mounted(service: Service) -> bool:
    """Whether ``shm_size`` can be said as a tmpfs on /dev/shm.

    Not when other containers are to see the memory: then only the engine can make it.
    """
    return (
        service.shm_size_bytes > 0
        and service.ipc not in _SHARED_WITH_OTHERS
        and all(mount.target != SHARED_MEMORY for mount in service.mounts)
    )


def _mount(stack: str, mount: Mount, volumes: Mapping[str, Volume]) -> Json:
    """One mount; volumes are made on each node when first used."""
    payload: Json = {"Type": mount.type, "Target": mount.target}
    if mount.source:
        payload["Source"] = mount.source
    if mount.read_only or "ro" in mount.tmpfs_options:
        payload["ReadOnly"] = True
    if mount.consistency:
        payload["Consistency"] = mount.consistency
    match mount.type:
        case "bind":
            options: Json = dict(_RECURSIVE.get(mount.recursive, {}))
            if mount.propagation:
                options["Propagation"] = mount.propagation
            if options:
                payload["BindOptions"] = options
        case "tmpfs":
            options = _tmpfs_options(mount)
            if options:
                payload["TmpfsOptions"] = options
        case "volume" if mount.source:
            volume = volumes[mount.source]
            payload["Source"] = _volume_name(stack, volume)
            payload["VolumeOptions"] = _volume_options(stack, mount, volume)
        case _:
            pass
    return payload


def _tmpfs_options(mount: Mount) -> Json:
    words = [word for word in mount.tmpfs_options if word not in {"ro", "rw"}]
    options: Json = {
        "SizeBytes": mount.tmpfs_size_bytes,
        "Mode": mount.tmpfs_mode,
        "Options": [word.split("=", 1) for word in words],
    }
    return {name: value for name, value in options.items() if value}


def _volume_name(stack: str, volume: Volume) -> str:
    if volume.external:
        return volume.name or volume.key
    return volume.name or scoped(stack, volume.key)


def _volume_options(stack: str, mount: Mount, volume: Volume) -> Json:
    options: Json = {}
    if mount.no_copy:
        options["NoCopy"] = True
    if mount.subpath:
        options["Subpath"] = mount.subpath
    if volume.external:
        return options
    options["Labels"] = labelled(stack, {**volume.labels, **mount.volume_labels})
    if volume.driver or volume.driver_opts is not None:
        driver: Json = {}
        if volume.driver:
            driver["Name"] = volume.driver
        if volume.driver_opts:
            driver["Options"] = dict(volume.driver_opts)
        options["DriverConfig"] = driver
    return options
