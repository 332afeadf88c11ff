"""The keys of the Compose Specification: one table of what each means to a stack.

The table drives everything that goes key by key: short forms, merging of several files, the check
for unknown keys and the report of keys that are not applied.  A key that becomes supported changes
its row here and gets its reading and translation; nothing else knows key names twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import msgspec


class Status(Enum):
    """What this version does with a key."""

    APPLIED = auto()  # it shapes the stack
    STORED = auto()  # it goes into the service, but nothing in stackd acts on it yet: a warning
    IGNORED = auto()  # it is not applied: a warning
    SILENT = auto()  # it has no meaning for a stack: no warning
    REJECTED = auto()  # leaving it out would make another application: an error


class Form(Enum):
    """Which shorter spelling a value may have; the loader writes all of them out."""

    PLAIN = auto()
    KEY_VALUES = auto()  # list of "K=V" -> map
    NAMES = auto()  # list of names -> map with empty values
    PORTS = auto()  # "8080:80" -> map
    VOLUMES = auto()  # "data:/var/lib:ro" -> map


class Merge(Enum):
    """How a later file's value meets an earlier one's."""

    DEEP = auto()  # maps key by key, lists appended, scalars replaced
    REPLACE = auto()  # the later value stands alone
    UNIQUE = auto()  # lists appended, equal values once
    UNIQUE_PORT = auto()  # lists appended, one entry for a host address, port, target, protocol
    UNIQUE_TARGET = auto()  # lists appended, one entry for a target


class Key(msgspec.Struct, frozen=True):
    """One row: a key, and the rows below it.

    `children` are the keys of a map with fixed keys, `each` the row of every value of a map with
    free keys, `items` the row of every map in a list.  A value whose row has none of them is not
    looked into.  `note` completes the message "… not applied".
    """

    status: Status = Status.APPLIED
    form: Form = Form.PLAIN
    merge: Merge = Merge.DEEP
    children: Mapping[str, Key] | None = None
    each: Key | None = None
    items: Key | None = None
    note: str = ""

    def child(self, name: str) -> Key:
        """The row of a key below this one; a row that says nothing when there is none."""
        if self.children and name in self.children:
            return self.children[name]
        return self.each or _UNTABLED


_UNTABLED = Key()
_VALUE = Key()
_STORED = Key(Status.STORED)
_IGNORED = Key(Status.IGNORED)
_SILENT = Key(Status.SILENT)
_UNIQUE_IGNORED = Key(Status.IGNORED, merge=Merge.UNIQUE)
_REPLACED = Key(merge=Merge.REPLACE)
_KEY_VALUES = Key(form=Form.KEY_VALUES)
_KEY_VALUES_IGNORED = Key(Status.IGNORED, form=Form.KEY_VALUES)


def _rows(row: Key, *names: str) -> dict[str, Key]:
    return dict.fromkeys(names, row)


def _rejected(note: str) -> Key:
    return Key(Status.REJECTED, note=note)


_LATER = "this version does not have it yet"

_HEALTHCHECK = {
    "test": _REPLACED,
    **_rows(_VALUE, "interval", "timeout", "retries", "start_period", "start_interval", "disable"),
}

_UPDATE_CONFIG = {
    **_rows(_VALUE, "parallelism", "delay", "order"),
    **_rows(_STORED, "failure_action", "monitor", "max_failure_ratio"),
}
_ROLLBACK_CONFIG = _rows(
    _VALUE, "parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"
)

_DEPLOY = {
    **_rows(_VALUE, "mode", "replicas", "endpoint_mode"),
    "labels": _KEY_VALUES,
    "placement": Key(
        children={
            "constraints": _VALUE,
            "preferences": Key(items=Key(children={"spread": _VALUE})),
            "max_replicas_per_node": _VALUE,
        }
    ),
    "resources": Key(
        children={
            "limits": Key(children=_rows(_VALUE, "cpus", "memory", "pids")),
            "reservations": Key(
                children={
                    **_rows(_VALUE, "cpus", "memory"),
                    **_rows(_IGNORED, "generic_resources", "devices"),
                }
            ),
        }
    ),
    "restart_policy": Key(children=_rows(_VALUE, "condition", "delay", "max_attempts", "window")),
    "update_config": Key(children=_UPDATE_CONFIG),
    "rollback_config": Key(Status.STORED, children=_ROLLBACK_CONFIG),
}

_PORT = {
    **_rows(_VALUE, "mode", "target", "published", "protocol", "host_ip"),
    **_rows(_IGNORED, "app_protocol"),
    "name": _VALUE,
}

_VOLUME_MOUNT = {
    **_rows(_VALUE, "type", "source", "target", "read_only", "consistency"),
    "bind": Key(
        children={
            **_rows(_VALUE, "propagation"),
            **_rows(_IGNORED, "selinux", "recursive"),
            "create_host_path": _SILENT,
        }
    ),
    "volume": Key(children={**_rows(_VALUE, "nocopy", "subpath"), "labels": _IGNORED}),
    "tmpfs": Key(children=_rows(_VALUE, "size", "mode")),
    "image": _rejected(_LATER),
}

_SERVICE_NETWORK = {
    "aliases": Key(merge=Merge.UNIQUE),
    "driver_opts": _VALUE,
    **_rows(
        _IGNORED,
        "ipv4_address", "ipv6_address", "link_local_ips", "mac_address",
        "priority", "gw_priority", "interface_name",
    ),
}  # fmt: skip

_SERVICE = {
    # what runs
    "image": _VALUE,
    "command": _REPLACED,
    "entrypoint": _REPLACED,
    "environment": _KEY_VALUES,
    "labels": _KEY_VALUES,
    **_rows(_VALUE, "working_dir", "user", "hostname"),
    **_rows(_VALUE, "stop_grace_period", "stop_signal"),
    **_rows(_VALUE, "init", "tty", "stdin_open", "read_only"),
    "healthcheck": Key(children=_HEALTHCHECK),
    "volumes": Key(
        form=Form.VOLUMES, merge=Merge.UNIQUE_TARGET, items=Key(children=_VOLUME_MOUNT)
    ),
    # how it is reached
    "ports": Key(form=Form.PORTS, merge=Merge.UNIQUE_PORT, items=Key(children=_PORT)),
    "networks": Key(form=Form.NAMES, each=Key(children=_SERVICE_NETWORK)),
    "expose": Key(Status.SILENT, merge=Merge.UNIQUE),
    # where and how often
    "deploy": Key(children=_DEPLOY),
    "restart": _VALUE,
    # not for a stack, or not yet
    "build": Key(Status.IGNORED, note="build the image first; 'image' is used as it is"),
    **_rows(_rejected(_LATER), "extends", "secrets", "configs", "credential_spec"),
    **_rows(
        _rejected("a stack cannot have it"),
        "volumes_from", "external_links", "models", "provider", "use_api_socket",
    ),
    "depends_on": Key(Status.IGNORED, form=Form.NAMES, note="services start at the same time"),
    "network_mode": Key(Status.IGNORED, note="the service joins its networks"),
    "env_file": Key(Status.IGNORED, merge=Merge.UNIQUE),
    **_rows(_KEY_VALUES_IGNORED, "annotations", "sysctls"),
    **_rows(
        _UNIQUE_IGNORED,
        "cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "extra_hosts", "group_add",
        "label_file", "links", "profiles", "security_opt", "tmpfs", "device_cgroup_rules",
    ),
    "ulimits": Key(Status.IGNORED, each=_REPLACED),
    **_rows(
        _IGNORED,
        "blkio_config", "cgroup", "cgroup_parent", "cgroupns_mode", "container_name",
        "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime",
        "cpu_shares", "cpus", "cpuset", "devices", "domainname", "gpus", "ipc", "isolation",
        "logging", "mac_address", "mem_limit", "mem_reservation", "mem_swappiness",
        "memswap_limit", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform",
        "post_start", "pre_start", "pre_stop", "privileged", "pull_policy", "pull_refresh_after",
        "runtime", "scale", "shm_size", "storage_opt", "userns_mode", "uts",
    ),
    **_rows(_SILENT, "attach", "develop"),
}  # fmt: skip

_NETWORK = {
    **_rows(_VALUE, "name", "driver", "driver_opts", "attachable", "internal", "external"),
    "labels": _KEY_VALUES,
    "ipam": Key(
        children={
            "driver": _VALUE,
            "config": Key(
                items=Key(
                    children={
                        **_rows(_VALUE, "subnet", "gateway", "ip_range"),
                        "aux_addresses": _IGNORED,
                    }
                )
            ),
            "options": _IGNORED,
        }
    ),
    **_rows(_IGNORED, "enable_ipv4", "enable_ipv6"),
}

_VOLUME = {
    **_rows(_VALUE, "name", "driver", "driver_opts", "external"),
    "labels": _KEY_VALUES,
}

_FILE_OBJECT = Key(Status.IGNORED, note=_LATER)

ROOT = Key(
    children={
        "version": _SILENT,  # the loader notes it
        "name": _VALUE,
        "services": Key(each=Key(children=_SERVICE)),
        "networks": Key(each=Key(children=_NETWORK)),
        "volumes": Key(each=Key(children=_VOLUME)),
        "secrets": _FILE_OBJECT,
        "configs": _FILE_OBJECT,
        "include": _rejected(_LATER),
        "models": _rejected("a stack cannot have it"),
    }
)
