"""What runs: the container part of a service's task template."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cluster.model.spec_struct import Labels, SpecStruct
from cluster.model.units import DurationNs, Uint32


class HealthCheck(SpecStruct, frozen=True, kw_only=True, gc=False):
    """How the engine finds out whether the container is healthy; durations in nanoseconds."""

    test: tuple[str, ...] = ()
    interval: DurationNs = 0
    timeout: DurationNs = 0
    retries: int = 0
    start_period: DurationNs = 0
    start_interval: DurationNs = 0


class BindOptions(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Options of a bind mount."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class Driver(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A driver (of logs, volumes, secrets) and its options."""

    name: str = ""
    options: Mapping[str, str] | None = None


class VolumeOptions(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Options of a volume mount."""

    no_copy: bool = False
    labels: Labels | None = None
    driver_config: Driver | None = None
    subpath: str = ""


class TmpfsOptions(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Options of a tmpfs mount; `mode` holds permission bits as a decimal number."""

    size_bytes: int = 0
    mode: Uint32 = 0
    options: tuple[tuple[str, ...], ...] = ()


class Mount(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A mount of a task's container."""

    type: str = "volume"
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class DnsConfig(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Resolver settings of the container."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class FileTarget(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Where a secret or config appears in the container; `mode` as a decimal number."""

    name: str = ""
    uid: str = msgspec.field(default="", name="UID")
    gid: str = msgspec.field(default="", name="GID")
    mode: Uint32 = 0


class SecretReference(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A secret that a task needs."""

    file: FileTarget | None = None
    secret_id: str = msgspec.field(default="", name="SecretID")
    secret_name: str = ""


class RuntimeTarget(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Marks a config that the runtime reads itself; it has no members."""


class ConfigReference(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A config that a task needs."""

    file: FileTarget | None = None
    runtime: RuntimeTarget | None = None
    config_id: str = msgspec.field(default="", name="ConfigID")
    config_name: str = ""


class Ulimit(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A resource limit of the container's processes."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class CredentialSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Credential spec of Windows containers."""

    config: str = ""
    file: str = ""
    registry: str = ""


class SelinuxContext(SpecStruct, frozen=True, kw_only=True, gc=False):
    """SELinux labels of the container."""

    disable: bool = False
    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompOptions(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Seccomp mode: default, unconfined or custom with a base64 profile."""

    mode: str = ""
    profile: str = ""


class AppArmorOptions(SpecStruct, frozen=True, kw_only=True, gc=False):
    """AppArmor mode: default or disabled."""

    mode: str = ""


class Privileges(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Security options of the container."""

    credential_spec: CredentialSpec | None = None
    se_linux_context: SelinuxContext | None = msgspec.field(default=None, name="SELinuxContext")
    seccomp: SeccompOptions | None = None
    app_armor: AppArmorOptions | None = None
    no_new_privileges: bool = False


class ContainerSpec(SpecStruct, frozen=True, kw_only=True, gc=False):
    """The container of a task; `stop_grace_period` in nanoseconds, absent means 10 s.

    `command` replaces the image's entrypoint, `args` its command: the Engine API's names.
    """

    image: str = ""
    labels: Labels | None = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    hostname: str = ""
    env: tuple[str, ...] = ()
    dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    privileges: Privileges | None = None
    init: bool | None = None
    stop_signal: str = ""
    tty: bool = msgspec.field(default=False, name="TTY")
    open_stdin: bool = False
    read_only: bool = False
    mounts: tuple[Mount, ...] = ()
    stop_grace_period: DurationNs | None = None
    health_check: HealthCheck | None = msgspec.field(default=None, name="Healthcheck")
    hosts: tuple[str, ...] = ()
    dns_config: DnsConfig | None = msgspec.field(default=None, name="DNSConfig")
    secrets: tuple[SecretReference, ...] = ()
    configs: tuple[ConfigReference, ...] = ()
    isolation: str = ""
    sysctls: Mapping[str, str] | None = None
    capability_add: tuple[str, ...] = ()
    capability_drop: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    oom_score_adj: int = 0
