"""What a node forbids its tasks, whatever the cluster says.

The owner of a machine decides with ``stackd --forbid`` how far a manager may reach into it.  The
agent judges the request that it is about to send, so that no way of spelling a wish gets around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from cluster.errors import InvalidArgument, PermissionDenied

Json = dict[str, Any]

FORBIDDABLE: Final[Mapping[str, str]] = {
    "privileged": "privileged containers",
    "host-binds": "mounts of the node's files and block devices",
    "host-namespaces": "the node's network, processes, IPC, host name, users and cgroups",
    "devices": "the node's devices, and drivers that give them",
    "capabilities": "capabilities beyond the engine's usual ones",
    "unconfined": "containers without seccomp, AppArmor, SELinux or masked paths",
}
"""Each word of ``--forbid`` with what it forbids."""


def parse_forbidden(text: str) -> frozenset[str]:
    """Read the words of ``--forbid``, separated by commas.

    Raises:
        InvalidArgument: a word that is none of `FORBIDDABLE`.
    """
    words = frozenset(word.strip() for word in text.split(",") if word.strip())
    for word in sorted(words - FORBIDDABLE.keys()):
        raise InvalidArgument(f"{word!r} is none of {', '.join(FORBIDDABLE)}")
    return words


def check_policy(payload: Json, forbidden: frozenset[str]) -> None:
    """Check a container-create request.

    Raises:
        PermissionDenied: this node forbids it; the message says what and what to do.
    """
    if not forbidden:
        return
    for word, what in _reaches(payload):
        if word in forbidden:
            raise PermissionDenied(
                f"this node forbids {what} (stackd --forbid {word}): remove it from the service, "
                "or keep the service off this node with a placement constraint"
            )


def _reaches(payload: Json) -> Iterator[tuple[str, str]]:
    """Yield the ways in which a container reaches into its node: the word, and the setting."""
    host = payload["HostConfig"]
    if host.get("Privileged"):
        yield "privileged", "privileged containers"
    for mount in host.get("Mounts", ()):
        if source := _source_on_node(mount):
            yield "host-binds", f"the {mount['Type']} mount of {source}"
    for name, kind in (
        ("NetworkMode", "network"),
        ("PidMode", "process"),
        ("IpcMode", "IPC"),
        ("UTSMode", "UTS"),
        ("UsernsMode", "user"),
        ("CgroupnsMode", "cgroup"),
    ):
        if host.get(name) == "host":
            yield "host-namespaces", f"the host's {kind} namespace"
    if host.get("CgroupParent"):
        yield "host-namespaces", f"the cgroup parent {host['CgroupParent']}"
    for name in ("Devices", "DeviceRequests", "DeviceCgroupRules"):
        if host.get(name):
            yield "devices", f"devices (HostConfig.{name})"
    if host.get("CapAdd"):
        yield "capabilities", f"added capabilities ({', '.join(host['CapAdd'])})"
    unmasked = ["systempaths=unconfined"] if "MaskedPaths" in host else []
    for option in (*unmasked, *_loosening(host.get("SecurityOpt", ()))):
        yield "unconfined", f"the security option {option}"


def _source_on_node(mount: Json) -> str:
    """Return the path of the node that a mount shows, "" for none.

    A volume of the local driver can show one, too.
    """
    if mount["Type"] == "bind":
        return str(mount["Source"])
    driver = mount.get("VolumeOptions", {}).get("DriverConfig") or {}
    device = str((driver.get("Options") or {}).get("device", ""))
    is_local = driver.get("Name", "local") in {"", "local"}
    return device if is_local and device.startswith("/") else ""


def _loosening(options: Iterable[str]) -> Iterator[str]:
    for option in options:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if value in {"unconfined", "disable"}:
            yield option
        elif name == "seccomp" and value:
            yield "seccomp=(own profile)"
