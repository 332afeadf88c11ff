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
    """A published port; `published` 0 lets the engine choose.

    With `published_end` set, all of `published` to `published_end` lead to it on a cluster; on one
    machine one of them is chosen.
    """

    target: int
    published: int = 0
    published_end: int = 0
    protocol: str = "tcp"
    mode: str = "ingress"
    name: str = ""
    host_ip: str = ""  # "" means all addresses
    hide_client: bool = False  # x-hide-client: servers see the node where a client came in
    app_protocol: str = ""


class Mount(_Part, frozen=True, kw_only=True):
    """A mount; `source` is a volume's key in the file, an absolute path, or "" for neither."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    propagation: str | None = None
    selinux: str = ""  # "z" shares the label, "Z" keeps it to the container
    recursive: str = ""  # enabled, disabled, writable or readonly
    create_host_path: bool = False
    has_volume_options: bool = False
    no_copy: bool = False
    subpath: str = ""
    volume_labels: Mapping[str, str] = {}
    tmpfs_size_bytes: int | None = None
    tmpfs_mode: int = 0
    tmpfs_options: tuple[str, ...] = ()  # from the service key "tmpfs", such as "noexec"


class ServiceNetwork(_Part, frozen=True, kw_only=True):
    """A network that a service joins, by its key in the file."""

    name: str
    aliases: tuple[str, ...] = ()
    driver_opts: Mapping[str, str] | None = None
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    priority: int = 0
    gw_priority: int = 0
    interface_name: str = ""


class DeviceRequest(_Part, frozen=True, kw_only=True):
    """Devices a driver hands out, such as graphics processors.

    `count` -1 means all; `device_ids` names them instead.
    """

    capabilities: tuple[str, ...] = ()
    driver: str = ""
    count: int | None = None
    device_ids: tuple[str, ...] = ()
    options: Mapping[str, str] = {}


class GenericResource(_Part, frozen=True, kw_only=True):
    """A countable resource that nodes name themselves."""

    kind: str
    value: int


class Resources(_Part, frozen=True, kw_only=True):
    """An amount of resources: a limit or a reservation."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    pids: int = 0
    generic_resources: tuple[GenericResource, ...] = ()
    devices: tuple[DeviceRequest, ...] = ()


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


class FileReference(_Part, frozen=True, kw_only=True):
    """A config or secret that a service uses, by its key in the file.

    `target` is a path or name inside the container; "" means the default place.
    """

    source: str
    target: str = ""
    uid: str = ""
    gid: str = ""
    mode: int | None = None


class Dependency(_Part, frozen=True, kw_only=True):
    """Another service that this one waits for.

    `condition` is service_started, service_healthy or service_completed_successfully; with
    `restart` this service is restarted when the other was replaced; without `required` the other
    may be missing.
    """

    condition: str = "service_started"
    restart: bool = False
    required: bool = True


class Device(_Part, frozen=True, kw_only=True):
    """A device file of the host, or (without `target`) one named by the Container Device Interface.

    `permissions` is made of r, w and m; "" means all.
    """

    source: str
    target: str = ""
    permissions: str = ""


class Ulimit(_Part, frozen=True, kw_only=True):
    """A limit of the kernel on processes; -1 means none."""

    soft: int
    hard: int


class Logging(_Part, frozen=True, kw_only=True):
    """Where a container's output goes; `driver` "" means the engine's own choice."""

    driver: str = ""
    options: Mapping[str, str] = {}


class CredentialSpec(_Part, frozen=True, kw_only=True):
    """A Windows credential specification: one of a config's key, a file name, a registry key."""

    config: str = ""
    file: str = ""
    registry: str = ""


class DeviceWeight(_Part, frozen=True, kw_only=True):
    """A device's share of block input and output."""

    path: str
    weight: int


class DeviceRate(_Part, frozen=True, kw_only=True):
    """A device's limit on block input or output: bytes or operations a second."""

    path: str
    rate: int


class BlockIo(_Part, frozen=True, kw_only=True):
    """Shares and limits of block devices."""

    weight: int = 0
    weight_device: tuple[DeviceWeight, ...] = ()
    device_read_bps: tuple[DeviceRate, ...] = ()
    device_read_iops: tuple[DeviceRate, ...] = ()
    device_write_bps: tuple[DeviceRate, ...] = ()
    device_write_iops: tuple[DeviceRate, ...] = ()


class Hook(_Part, frozen=True, kw_only=True):
    """A command to run in a container after it started or before it stops."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: Mapping[str, str] = {}


class Service(_Part, frozen=True, kw_only=True):
    """A service.

    The container's limits stand in `deploy`, whether the file says them there or as `mem_limit`,
    `cpus`, `pids_limit`, `mem_reservation`, `scale`.
    """

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
    networks: tuple[ServiceNetwork, ...] = ()  # "default" when none is named; none with a mode
    deploy: Deploy = Deploy()
    configs: tuple[FileReference, ...] = ()
    secrets: tuple[FileReference, ...] = ()
    credential_spec: CredentialSpec | None = None
    depends_on: Mapping[str, Dependency] = {}  # also what links and shared namespaces imply
    pre_deploy: bool = False  # x-stack.pre_deploy: must complete before all others are touched
    links: Mapping[str, str] = {}  # alias -> service
    network_mode: str = ""  # host, none, bridge, service:NAME, container:NAME
    container_name: str = ""
    platform: str = ""
    pull_policy: str = ""  # always, never, missing, build, daily, weekly, every_DURATION
    profiles: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}
    domainname: str = ""
    mac_address: str = ""
    isolation: str = ""
    runtime: str = ""
    # names and hosts
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()  # (host, address), sorted
    # rights
    group_add: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    privileged: bool = False
    use_api_socket: bool = False
    # namespaces and control groups
    cgroup: str = ""
    cgroup_parent: str = ""
    ipc: str = ""
    pid: str = ""
    userns_mode: str = ""
    uts: str = ""
    # devices
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    # kernel
    sysctls: Mapping[str, str] = {}
    ulimits: Mapping[str, Ulimit] = {}
    shm_size_bytes: int = 0
    storage_opt: Mapping[str, str] = {}
    blkio: BlockIo | None = None
    cpu_count: int = 0
    cpu_percent: float = 0.0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_rt_period_us: int = 0
    cpu_rt_runtime_us: int = 0
    cpu_shares: int = 0
    cpuset: str = ""
    mem_swappiness: int | None = None
    memswap_limit_bytes: int | None = None  # memory and swap together; -1 means no limit
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    # output and hooks
    logging: Logging | None = None
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()


class IpamConfig(_Part, frozen=True, kw_only=True):
    """An address range of a network."""

    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: Mapping[str, str] = {}


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
    ipam_options: Mapping[str, str] = {}
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None

    @property
    def has_ipam(self) -> bool:
        """Whether the file says anything about addresses."""
        return bool(self.ipam_driver or self.ipam_config or self.ipam_options)


class Volume(_Part, frozen=True, kw_only=True):
    """A named volume; `name` as in `Network`."""

    key: str
    name: str = ""
    external: bool = False
    driver: str = ""
    driver_opts: Mapping[str, str] | None = None
    labels: Mapping[str, str] = {}


class FileObject(_Part, frozen=True, kw_only=True):
    """A config or secret; `name` as in `Network`.

    `content` are its bytes, wherever the file says they come from; None when it is external or
    kept by a `driver`.
    """

    key: str
    name: str = ""
    external: bool = False
    content: bytes | None = None
    labels: Mapping[str, str] = {}
    template_driver: str = ""
    driver: str = ""
    driver_opts: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        return f"FileObject({self.key!r})"  # never the content


class Compose(_Part, frozen=True, kw_only=True):
    """A whole project; `networks` holds those that services join, "default" included."""

    name: str
    services: tuple[Service, ...]
    networks: Mapping[str, Network] = {}
    volumes: Mapping[str, Volume] = {}
    configs: Mapping[str, FileObject] = {}
    secrets: Mapping[str, FileObject] = {}
