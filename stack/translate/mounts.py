"""Mounts of a service, with the options of the volumes they name."""

from __future__ import annotations

from collections.abc import Mapping

from stack.compose.types import Mount, Volume
from stack.engine.payloads import Json
from stack.translate.names import labelled, scoped


def mount_payload(stack: str, mount: Mount, volumes: Mapping[str, Volume]) -> Json:
    """One member of ``ContainerSpec.Mounts``; volumes are made on each node when first used."""
    payload: Json = {"Type": mount.type, "Target": mount.target}
    if mount.source:
        payload["Source"] = mount.source
    if mount.read_only:
        payload["ReadOnly"] = True
    if mount.consistency:
        payload["Consistency"] = mount.consistency
    match mount.type:
        case "bind" if mount.propagation:
            payload["BindOptions"] = {"Propagation": mount.propagation}
        case "tmpfs" if mount.tmpfs_size_bytes is not None or mount.tmpfs_mode:
            options = {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode}
            payload["TmpfsOptions"] = {name: value for name, value in options.items() if value}
        case "volume" if mount.source:
            volume = volumes[mount.source]
            payload["Source"] = _volume_name(stack, volume)
            payload["VolumeOptions"] = _volume_options(stack, mount, volume)
        case _:
            pass
    return payload


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
    options["Labels"] = labelled(stack, volume.labels)
    if volume.driver or volume.driver_opts is not None:
        driver: Json = {}
        if volume.driver:
            driver["Name"] = volume.driver
        if volume.driver_opts:
            driver["Options"] = dict(volume.driver_opts)
        options["DriverConfig"] = driver
    return options
