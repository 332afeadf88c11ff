"""The keys of a service: the part of the key table below ``services.NAME``."""

from __future__ import annotations

from collections.abc import Mapping

from stack.compose.key import Form, Key, Merge, Status, Unique, Value

TEXT = Key(value=Value.TEXT)
BOOLEAN = Key(value=Value.BOOLEAN)
INTEGER = Key(value=Value.INTEGER)
NUMBER = Key(value=Value.NUMBER)
DURATION = Key(value=Value.DURATION)
SIZE = Key(value=Value.SIZE)
TEXTS = Key(value=Value.TEXTS)
DISTINCT_TEXTS = Key(value=Value.TEXTS, distinct=True)
NAMES = Key(value=Value.TEXTS, distinct=True, unique=Unique.NAME)
ONE_OR_MORE = Key(value=Value.TEXTS, form=Form.ONE_OR_LIST, distinct=True, accepts="string|array")
WORDS = Key(value=Value.WORDS, merge=Merge.REPLACE, accepts="null|string|array")
KEY_VALUES = Key(value=Value.TEXT_MAP, form=Form.KEY_VALUES, merge=Merge.APPEND, unique=Unique.NAME)
OPTIONS = Key(value=Value.OPTION_MAP)
ANY = Key()


def rows(row: Key, *names: str) -> dict[str, Key]:
    """The same row for several keys."""
    return dict.fromkeys(names, row)


def also(row: Key, **changes: object) -> Key:
    """A row with something changed."""
    return row.replaced(**changes)


def ignored(row: Key, note: str = "") -> Key:
    """A row of a key that is not applied."""
    return also(row, status=Status.IGNORED, note=note)


def stored(row: Key) -> Key:
    """A row of a key that goes into the service, but nothing in stackd acts on it yet."""
    return also(row, status=Status.STORED)


def silent(row: Key) -> Key:
    """A row of a key that a stack has no use for."""
    return also(row, status=Status.SILENT)


def rejected(row: Key, note: str) -> Key:
    """A row of a key that cannot be left out."""
    return also(row, status=Status.REJECTED, note=note)


def fields(children: Mapping[str, Key], **more: object) -> Key:
    """A map with fixed keys."""
    return also(Key(value=Value.MAP, children=children, keep=True), **more)


def map_of(each: Key, **more: object) -> Key:
    """A map with free keys."""
    return also(Key(value=Value.MAP, each=each), **more)


def list_of(items: Key, **more: object) -> Key:
    """A list."""
    return also(Key(value=Value.LIST, items=items), **more)


_LATER = "this version does not have it yet"

FILE_REFERENCES = list_of(
    fields(
        {
            **rows(TEXT, "source", "target", "uid", "gid"),
            "mode": Key(value=Value.MODE, accepts="number|string", keep=True),
        },
        accepts="string|object",
    ),
    form=Form.FILE_REFERENCES,
)
SECRETS = also(FILE_REFERENCES, unique=Unique.SECRET)
CONFIGS = also(FILE_REFERENCES, unique=Unique.TARGET)

ULIMITS = map_of(
    fields(
        {"soft": also(INTEGER, keep=True), "hard": also(INTEGER, keep=True)},
        accepts="integer|string|object",
        required=("soft", "hard"),
        merge=Merge.ULIMIT,
    ),
    names="",
)

HOSTS = Key(
    value=Value.TEXTS,
    form=Form.HOSTS,
    merge=Merge.APPEND,
    unique=Unique.TEXT,
    accepts="array|object",
)

_HOOK = fields(
    {
        "command": also(WORDS, keep=True),
        "user": TEXT,
        "privileged": BOOLEAN,
        "working_dir": TEXT,
        "environment": also(KEY_VALUES, nullable=True),
    },
    required=("command",),
)

_DEVICE_REQUEST = {
    "capabilities": DISTINCT_TEXTS,
    "count": Key(accepts="string|integer", pattern="^(all|[-+]?[0-9]{1,9})$"),
    "device_ids": DISTINCT_TEXTS,
    "driver": TEXT,
    "options": also(KEY_VALUES, merge=Merge.DEEP),
}

_BLKIO_LIMITS = list_of(
    fields(
        {"path": TEXT, "rate": Key(value=Value.SIZE, accepts="integer|string")}, extensible=False
    )
)
_BLKIO_WEIGHTS = list_of(fields({"path": TEXT, "weight": INTEGER}, extensible=False))

_BUILD = fields(
    {
        **rows(
            TEXT, "context", "dockerfile", "dockerfile_inline", "network", "target", "isolation"
        ),
        **rows(TEXTS, "cache_from", "cache_to", "entitlements", "platforms"),
        "args": KEY_VALUES,
        **rows(KEY_VALUES, "labels", "additional_contexts"),
        "tags": also(TEXTS, unique=Unique.NAME),
        "ssh": Key(value=Value.TEXT_MAP, form=Form.KEY_VALUES),
        **rows(BOOLEAN, "no_cache", "pull", "privileged"),
        **rows(also(TEXT, accepts="string|boolean"), "provenance", "sbom"),
        "shm_size": also(SIZE, accepts="integer|string"),
        "extra_hosts": HOSTS,
        "secrets": FILE_REFERENCES,
        "ulimits": ULIMITS,
    },
    form=Form.BUILD,
    accepts="string|object",
)

_HEALTHCHECK = fields(
    {
        "test": Key(
            value=Value.TEXTS,
            form=Form.TEST,
            merge=Merge.REPLACE,
            accepts="string|array",
        ),
        **rows(also(DURATION, keep=True), "interval", "timeout", "start_period", "start_interval"),
        "retries": also(INTEGER, accepts="number|string", keep=True, lowest=0),
        "disable": BOOLEAN,
    }
)

_ORDERS = ("start-first", "stop-first")
_UPDATE_CONFIG = fields(
    {
        "parallelism": also(INTEGER, keep=True, lowest=0),
        **rows(DURATION, "delay", "monitor"),
        "failure_action": TEXT,
        "max_failure_ratio": NUMBER,
        "order": also(TEXT, choices=_ORDERS),
    }
)

_DEPLOY = fields(
    {
        **rows(TEXT, "mode", "endpoint_mode"),
        "replicas": also(INTEGER, keep=True, lowest=0),
        "labels": KEY_VALUES,
        "placement": fields(
            {
                "constraints": TEXTS,
                "preferences": list_of(fields({"spread": TEXT})),
                "max_replicas_per_node": INTEGER,
            },
        ),
        "resources": fields(
            {
                "limits": fields(
                    {"cpus": NUMBER, "memory": also(SIZE, accepts="string"), "pids": INTEGER}
                ),
                "reservations": fields(
                    {
                        "cpus": NUMBER,
                        "memory": also(SIZE, accepts="string"),
                        "generic_resources": list_of(
                            fields(
                                {"discrete_resource_spec": fields({"kind": TEXT, "value": NUMBER})}
                            )
                        ),
                        "devices": list_of(fields(_DEVICE_REQUEST, required=("capabilities",))),
                    }
                ),
            },
            keep=True,
        ),
        "restart_policy": fields(
            {
                "condition": TEXT,
                **rows(also(DURATION, keep=True), "delay", "window"),
                "max_attempts": also(INTEGER, keep=True, lowest=0),
            }
        ),
        "update_config": _UPDATE_CONFIG,
        "rollback_config": _UPDATE_CONFIG,
    },
    accepts="object|null",
)

_PORTS = list_of(
    fields(
        {
            **rows(TEXT, "name", "mode", "host_ip", "protocol"),
            "app_protocol": ignored(TEXT),
            "target": also(INTEGER, lowest=0),
            "published": Key(value=Value.TEXT, accepts="string|integer"),
        },
        accepts="number|string|object",
        required=("target",),
    ),
    form=Form.PORTS,
    unique=Unique.PORT,
    distinct=True,
)

_MOUNTS = list_of(
    fields(
        {
            "type": also(TEXT, choices=("bind", "volume", "tmpfs", "cluster", "npipe", "image")),
            **rows(TEXT, "source", "target", "consistency"),
            "read_only": BOOLEAN,
            "bind": fields(
                {
                    "propagation": TEXT,
                    "selinux": also(TEXT, choices=("z", "Z")),
                    "recursive": also(
                        TEXT, choices=("enabled", "disabled", "writable", "readonly")
                    ),
                    "create_host_path": silent(BOOLEAN),
                },
                keep=True,
            ),
            "volume": fields({"labels": KEY_VALUES, "nocopy": BOOLEAN, "subpath": TEXT}, keep=True),
            "tmpfs": fields(
                {
                    "size": Key(value=Value.SIZE, accepts="integer|string", lowest=0),
                    "mode": also(INTEGER, accepts="number"),
                },
                keep=True,
            ),
            "image": fields({"subpath": TEXT}, keep=True),
        },
        accepts="string|object",
        required=("type", "target"),
    ),
    form=Form.VOLUMES,
    unique=Unique.TARGET,
    distinct=True,
)

_SERVICE_NETWORKS = map_of(
    fields(
        {
            "aliases": NAMES,
            "driver_opts": OPTIONS,
            "link_local_ips": stored(NAMES),
            "ipv4_address": TEXT,
            **rows(stored(TEXT), "ipv6_address", "mac_address", "interface_name"),
            **rows(stored(also(INTEGER, accepts="number")), "priority", "gw_priority"),
        },
        accepts="object|null",
    ),
    form=Form.NAMES,
    accepts="array|object",
    extensible=False,
)

_DEPENDENCIES = map_of(
    fields(
        {
            "condition": also(
                TEXT,
                choices=("service_started", "service_healthy", "service_completed_successfully"),
            ),
            "restart": BOOLEAN,
            "required": also(ANY, accepts="boolean", keep=True),
        },
        required=("condition",),
    ),
    form=Form.DEPENDENCIES,
    accepts="array|object",
    extensible=False,
)

_ENV_FILES = list_of(
    fields(
        {"path": TEXT, "format": TEXT, "required": also(BOOLEAN, keep=True)},
        accepts="string|object",
        required=("path",),
        extensible=False,
    ),
    form=Form.ENV_FILES,
    merge=Merge.APPEND,
    unique=Unique.PATH,
    accepts="string|array",
)

_DEVELOP = fields(
    {
        "watch": list_of(
            fields(
                {
                    **rows(TEXT, "path", "target"),
                    "action": also(
                        TEXT,
                        choices=("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
                    ),
                    **rows(ONE_OR_MORE, "ignore", "include"),
                    "exec": _HOOK,
                    "initial_sync": BOOLEAN,
                },
                required=("path", "action"),
            )
        )
    },
    accepts="object|null",
)

SERVICE = {
    # what runs
    "image": TEXT,
    "build": ignored(_BUILD, "build the image first; 'image' is used as it is"),
    "command": also(WORDS, keep=True),
    "entrypoint": also(WORDS, keep=True),
    "environment": also(KEY_VALUES, nullable=True),
    "env_file": _ENV_FILES,
    "labels": KEY_VALUES,
    "label_file": Key(
        value=Value.TEXTS, form=Form.ONE_OR_LIST, merge=Merge.APPEND, accepts="string|array"
    ),
    **rows(TEXT, "working_dir", "user", "hostname", "stop_signal"),
    "stop_grace_period": also(DURATION, keep=True),
    "init": also(BOOLEAN, keep=True),
    **rows(BOOLEAN, "tty", "stdin_open", "read_only"),
    "healthcheck": _HEALTHCHECK,
    "volumes": _MOUNTS,
    "tmpfs": also(ONE_OR_MORE, merge=Merge.APPEND, unique=Unique.NAME),
    "configs": CONFIGS,
    "secrets": SECRETS,
    "credential_spec": fields(rows(TEXT, "config", "file", "registry")),
    "logging": fields(
        {"driver": TEXT, "options": also(OPTIONS, nullable=True)}, merge=Merge.LOGGING
    ),
    # how it is reached
    "ports": _PORTS,
    "expose": silent(
        Key(
            value=Value.TEXTS,
            unique=Unique.TEXT,
            distinct=True,
            items=Key(value=Value.TEXT, accepts="string|integer"),
        )
    ),
    "networks": _SERVICE_NETWORKS,
    "network_mode": TEXT,
    "links": NAMES,
    "external_links": rejected(DISTINCT_TEXTS, "a stack cannot have it"),
    "dns": also(ONE_OR_MORE, form=Form.ADDRESSES, merge=Merge.APPEND, unique=Unique.NAME),
    "dns_search": also(ONE_OR_MORE, merge=Merge.APPEND, unique=Unique.NAME),
    "dns_opt": also(DISTINCT_TEXTS, unique=Unique.NAME),
    "extra_hosts": HOSTS,
    "domainname": TEXT,
    "mac_address": TEXT,
    "container_name": also(TEXT, pattern=r"[a-zA-Z0-9][a-zA-Z0-9_.-]+"),  # a name on networks
    # where, when and how often
    "deploy": _DEPLOY,
    "scale": also(INTEGER, keep=True, lowest=0),
    "restart": TEXT,
    "depends_on": _DEPENDENCIES,
    "profiles": NAMES,
    "platform": TEXT,
    "pull_policy": also(
        TEXT,
        pattern="always|never|build|if_not_present|missing|refresh|daily|weekly|"
        "every_([0-9]+[wdhms])+",
    ),
    "pull_refresh_after": ignored(TEXT),
    # rights and namespaces
    **rows(NAMES, "cap_add", "cap_drop"),
    "group_add": Key(
        value=Value.TEXTS, distinct=True, items=Key(value=Value.TEXT, accepts="string|number")
    ),
    "security_opt": DISTINCT_TEXTS,
    "privileged": BOOLEAN,
    "cgroup": also(TEXT, choices=("host", "private")),
    **rows(TEXT, "cgroup_parent", "ipc", "isolation", "userns_mode", "uts", "runtime"),
    "pid": also(TEXT, accepts="string|null"),
    "use_api_socket": rejected(
        also(ANY, accepts="boolean"), "a container of a stack gets no engine socket"
    ),
    # resources
    "blkio_config": fields(
        {
            "weight": INTEGER,
            "weight_device": _BLKIO_WEIGHTS,
            **rows(
                _BLKIO_LIMITS,
                "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops",
            ),
        },
        extensible=False,
    ),
    "cpu_count": also(INTEGER, lowest=0),
    "cpu_percent": also(NUMBER, accepts="integer|string", lowest=0, highest=100),
    **rows(also(INTEGER, accepts="number|string"), "cpu_shares", "cpu_quota", "cpu_period"),
    **rows(also(INTEGER, accepts="number|string"), "cpu_rt_period", "cpu_rt_runtime"),
    "cpus": NUMBER,
    "cpuset": TEXT,
    **rows(SIZE, "mem_limit", "memswap_limit", "shm_size"),
    "mem_reservation": also(SIZE, accepts="integer|string"),
    "mem_swappiness": also(SIZE, accepts="integer|string"),
    "oom_kill_disable": BOOLEAN,
    "oom_score_adj": also(INTEGER, lowest=-1000, highest=1000),
    "pids_limit": also(INTEGER, accepts="number|string"),
    "storage_opt": Key(value=Value.OPTION_MAP, accepts="object"),
    "sysctls": KEY_VALUES,
    "ulimits": ULIMITS,
    # devices
    "devices": list_of(
        fields(
            rows(TEXT, "source", "target", "permissions"),
            accepts="string|object",
            required=("source", "target"),
        ),
        form=Form.DEVICES,
        unique=Unique.TARGET,
    ),
    "device_cgroup_rules": DISTINCT_TEXTS,
    "gpus": list_of(fields(_DEVICE_REQUEST), form=Form.GPUS, accepts="string|array"),
    # the rest
    "annotations": KEY_VALUES,
    "attach": silent(also(BOOLEAN, keep=True)),
    "develop": silent(_DEVELOP),
    "extends": Key(
        value=Value.MAP,
        form=Form.EXTENDS,
        children=rows(TEXT, "service", "file"),
        required=("service",),
        accepts="string|object",
        extensible=False,
    ),
    **rows(ignored(list_of(_HOOK), _LATER), "post_start", "pre_stop"),
    "models": rejected(
        map_of(
            fields(rows(TEXT, "endpoint_var", "model_var"), accepts="object|null"),
            form=Form.NAMES,
            accepts="array|object",
        ),
        "a stack cannot have it",
    ),
    "provider": rejected(
        fields({"type": TEXT, "options": map_of(ANY, names="")}, required=("type",)),
        "a stack cannot have it",
    ),
    "volumes_from": rejected(DISTINCT_TEXTS, "containers of other services may be on other nodes"),
}  # fmt: skip
