"""How far the services of a deploy token may reach beyond their own containers.

By default not at all: whoever holds a token of a pipeline is not to become root on the nodes.
What reaches out has a word, by which an administrator may grant it.  What is not known to be
harmless is taken for the worst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cluster.errors import PermissionDenied
from cluster.model.container import ContainerSpec, Mount
from cluster.model.extensions import ContainerExtensions
from cluster.model.network import PREDEFINED_NETWORKS
from cluster.model.service import ServiceSpec
from cluster.model.token import GRANTABLE, DeployToken

_SYSTEM_PORTS: Final = frozenset({*range(1, 1024), *range(2375, 2378), 4789, 7946}) - {80, 443}
_LOCAL_LOGS: Final = frozenset({"", "json-file", "local", "journald", "none"})
_HARMLESS: Final = frozenset(
    {
        *("blkio", "cgroup", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota"),
        *("cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset", "domainname", "ipc"),
        *("mac_address", "mem_swappiness", "memswap_limit", "pid", "shm_size", "storage_opt"),
        *("userns_mode", "uts"),
    }
)
"""Extensions that stay within the container, apart from the value "host" of some."""

_WORDS: Final = {
    "devices": "devices",
    "device_requests": "devices",
    "device_cgroup_rules": "devices",
    "cgroup_parent": "host-namespaces",
    "annotations": "unconfined",
    "oom_kill_disable": "unconfined",
    "runtime": "unconfined",
    "security_opt": "unconfined",
}


def check_reach(token: DeployToken, stack: str, spec: ServiceSpec) -> None:
    """Check that a service of a token's stack reaches no further than was granted.

    Raises:
        PermissionDenied: it does; the message says what, and how it may be granted.
    """
    for word, what in _reaches(stack, spec):
        if word not in token.allowed:
            raise PermissionDenied(
                f"deploy token {token.name} may not give service {spec.name} {what} "
                f"({GRANTABLE[word]}): leave it out, or let an administrator make a token with "
                f"--allow {word}"
            )


def _reaches(stack: str, spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """Yield the ways in which a service reaches out: the word, and the setting."""
    template = spec.task_template
    if template.runtime not in {"", "container"}:
        yield "privileged", f"the runtime {template.runtime}"
    for attachment in template.networks:
        if attachment.target in PREDEFINED_NETWORKS and attachment.target != "none":
            yield "host-namespaces", f"the nodes' own network {attachment.target}"
    if template.log_driver is not None and template.log_driver.name not in _LOCAL_LOGS:
        yield "log-drivers", f"the log driver {template.log_driver.name}"
    for port in spec.endpoint_spec.ports if spec.endpoint_spec else ():
        if port.published_port in _SYSTEM_PORTS:
            yield "ports", f"the published port {port.published_port}"
    if template.container_spec is not None:
        yield from _of_container(stack, template.container_spec)
    if template.extensions is not None:
        yield from _of_extensions(template.extensions.container)


def _of_container(stack: str, container: ContainerSpec) -> Iterator[tuple[str, str]]:
    for mount in container.mounts:
        yield from _of_mount(stack, mount)
    if container.capability_add:
        yield "capabilities", f"the capabilities {', '.join(container.capability_add)}"
    if container.oom_score_adj < 0:
        yield "unconfined", f"the OOM score {container.oom_score_adj}"
    privileges = container.privileges
    if privileges is None:
        return
    if privileges.credential_spec is not None or privileges.se_linux_context is not None:
        yield "unconfined", "own credential specs or SELinux labels"
    if privileges.seccomp is not None and privileges.seccomp.mode not in {"", "default"}:
        yield "unconfined", f"seccomp in mode {privileges.seccomp.mode}"
    if privileges.app_armor is not None and privileges.app_armor.mode not in {"", "default"}:
        yield "unconfined", f"AppArmor in mode {privileges.app_armor.mode}"


def _of_mount(stack: str, mount: Mount) -> Iterator[tuple[str, str]]:
    if mount.type == "tmpfs":
        return
    if mount.type != "volume":
        yield "host-binds", f"the {mount.type} mount of {mount.source}"
        return
    driver = mount.volume_options.driver_config if mount.volume_options else None
    if driver is not None and (driver.name not in {"", "local"} or driver.options):
        yield "host-binds", f"the volume {mount.source} with a driver or options of its own"
    is_own = mount.source.startswith(f"{stack}_") and "{{" not in mount.source
    if mount.source and not is_own:
        yield "volumes", f"the volume {mount.source}"


def _of_extensions(container: ContainerExtensions) -> Iterator[tuple[str, str]]:
    nothing = ContainerExtensions()
    for name in ContainerExtensions.__struct_fields__:
        value = getattr(container, name)
        if value == getattr(nothing, name):
            continue
        if value == "host":
            yield "host-namespaces", f"{name}: host"
        elif name not in _HARMLESS:
            yield _WORDS.get(name, "privileged"), name
