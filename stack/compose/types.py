"""The compose model: a project as it is meant, every short form, variable and default resolved.

Durations are nanoseconds, sizes bytes, processors billionths.  None means "not said": the
cluster's own default holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of the model."""


class Healthcheck(_Part, frozen=True, kw_only=True):
    """How to find out whether a container is healthy; `test` ("NONE",) switches it off."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class Port(_Part, frozen=True, kw_only=True):
    """A published port; `published` 0 lets the engine choose."""

    target: int
    published: int = 0
    protocol: str = "tcp"
    mode: str = "ingress"
    name: str = ""


class Mount(_Part, frozen=True, kw_only=True):
    """A mount; `source` is a volume's key in the file, an absolute path, or "" for neither."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    propagation: str | None = None
    has_volume_options: bool = False
    no_copy: bool = False
    subpath: str = ""
    tmpfs_size_bytes: int | None = None
    tmpfs_mode: int = 0


class ServiceNetwork(_Part, frozen=True, kw_only=True):
    """A network that a service joins, by its key in the file."""

    name: str
    aliases: tuple[str, ...] = ()
    driver_opts: Mapping[str, str] | None = None


class Resources(_Part, frozen=True, kw_only=True):
    """An amount of resources: a limit or a reservation."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0


class RestartPolicy(_Part, frozen=True, kw_only=True):
    """When a task that ended is replaced; `condition` none, on-failure or any."""

    condition: str = ""
    delay_ns: int | None = None
    max_attempts: int | None = None
    window_ns: int | None = None


class UpdateConfig(_Part, frozen=True, kw_only=True):
    """How tasks are replaced when the service changes; parallelism 0 means all at once."""

    parallelism: int = 1
    delay_ns: int = 0
    failure_action: str = ""
    monitor_ns: int = 0
    max_failure_ratio: float = 0.0
    order: str = ""


class Placement(_Part, frozen=True, kw_only=True):
    """Where tasks may run; `spread_over` names node labels, most important first."""

    constraints: tuple[str, ...] = ()
    spread_over: tuple[str, ...] = ()
    max_replicas_per_node: int = 0


class Deploy(_Part, frozen=True, kw_only=True):
    """Where, how often and how carefully a service runs."""

    mode: str = "replicated"
    replicas: int | None = None
    labels: Mapping[str, str] = {}
    endpoint_mode: str = ""
    limits: Resources | None = None
    reservations: Resources | None = None
    restart_policy: RestartPolicy | None = None
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    placement: Placement = Placement()


class Service(_Part, frozen=True, kw_only=True):
    """A service."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    working_dir: str = ""
    user: str = ""
    hostname: str = ""
    stop_grace_period_ns: int | None = None
    stop_signal: str = ""
    init: bool | None = None
    tty: bool = False
    stdin_open: bool = False
    read_only: bool = False
    healthcheck: Healthcheck | None = None
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[ServiceNetwork, ...] = ()  # never empty: "default" when none is named
    deploy: Deploy = Deploy()


class IpamConfig(_Part, frozen=True, kw_only=True):
    """An address range of a network."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""


class Network(_Part, frozen=True, kw_only=True):
    """A network; `name` is its full name when the file gives one, else "" (made from the key)."""

    key: str
    name: str = ""
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] | None = None
    attachable: bool = False
    internal: bool = False
    labels: Mapping[str, str] = {}
    ipam_driver: str = ""
    ipam_config: tuple[IpamConfig, ...] = ()

    @property
    def has_ipam(self) -> bool:
        """Whether the file says anything about addresses."""
        return bool(self.ipam_driver or self.ipam_config)


class Volume(_Part, frozen=True, kw_only=True):
    """A named volume; `name` as in `Network`."""

    key: str
    name: str = ""
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] | None = None
    labels: Mapping[str, str] = {}


class Compose(_Part, frozen=True, kw_only=True):
    """A whole project; `networks` holds those that services join, "default" included."""

    name: str
    services: tuple[Service, ...]
    networks: Mapping[str, Network] = {}
    volumes: Mapping[str, Volume] = {}
