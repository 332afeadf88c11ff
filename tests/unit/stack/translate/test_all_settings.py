"""No setting of a service is overlooked by the translation."""

from __future__ import annotations

from typing import Any

import msgspec

from stack.compose.types import (
    BlockIo,
    CredentialSpec,
    Dependency,
    Deploy,
    Device,
    DeviceRequest,
    Healthcheck,
    Logging,
    Mount,
    Port,
    Service,
    ServiceNetwork,
    Ulimit,
)
from tests.unit.stack.translate.translated import translate

NOT_TRANSLATED = {
    "configs", "secrets",  # refused by the loader in this version
    "expose", "profiles", "use_api_socket",  # for the loader alone
    "pre_deploy",  # turns the service into a job; see test_pre_deploy.py
    "post_start", "pre_stop",  # not applied: a warning of the loader says so
}  # fmt: skip

SAMPLES: dict[str, Any] = {
    "name": "other",
    "image": "other:1",
    "command": ("x",),
    "entrypoint": ("x",),
    "environment": {"A": "1"},
    "labels": {"a": "1"},
    "working_dir": "/x",
    "user": "me",
    "hostname": "h",
    "stop_grace_period_ns": 0,
    "stop_signal": "SIGINT",
    "init": False,
    "tty": True,
    "stdin_open": True,
    "read_only": True,
    "healthcheck": Healthcheck(test=("NONE",)),
    "ports": (Port(target=80, mode="host"),),
    "mounts": (Mount(type="tmpfs", target="/x"),),
    "networks": (ServiceNetwork(name="front"),),
    "deploy": Deploy(replicas=3),
    "credential_spec": CredentialSpec(file="x"),
    "depends_on": {"db": Dependency()},
    "links": {"self": "web"},
    "network_mode": "host",
    "container_name": "x",
    "platform": "linux",
    "pull_policy": "always",
    "annotations": {"a": "1"},
    "domainname": "x",
    "mac_address": "02:42:ac:11:00:02",
    "isolation": "hyperv",
    "runtime": "x",
    "dns": ("1.1.1.1",),
    "dns_search": ("x",),
    "dns_opt": ("x",),
    "extra_hosts": (("a", "1.1.1.1"),),
    "group_add": ("x",),
    "cap_add": ("x",),
    "cap_drop": ("x",),
    "security_opt": ("x",),
    "privileged": True,
    "cgroup": "host",
    "cgroup_parent": "x",
    "ipc": "host",
    "pid": "host",
    "userns_mode": "host",
    "uts": "host",
    "devices": (Device(source="/dev/x"),),
    "device_cgroup_rules": ("c 1:3 r",),
    "gpus": (DeviceRequest(),),
    "sysctls": {"a": "1"},
    "ulimits": {"core": Ulimit(soft=0, hard=0)},
    "shm_size_bytes": 1,
    "storage_opt": {"a": "1"},
    "blkio": BlockIo(weight=10),
    "cpu_count": 1,
    "cpu_percent": 50.0,
    "cpu_period_us": 1,
    "cpu_quota_us": 1,
    "cpu_rt_period_us": 1,
    "cpu_rt_runtime_us": 1,
    "cpu_shares": 1,
    "cpuset": "0",
    "mem_swappiness": 0,
    "memswap_limit_bytes": 1,
    "oom_kill_disable": True,
    "oom_score_adj": 1,
    "logging": Logging(driver="none"),
}


def test_no_setting_of_a_service_is_forgotten() -> None:
    known = {field.name for field in msgspec.structs.fields(Service)}
    assert known == SAMPLES.keys() | NOT_TRANSLATED
    plain = translate()
    assert [name for name, value in SAMPLES.items() if translate(**{name: value}) == plain] == []
