"""The ``deploy`` section of a service, and ``restart``, which says part of the same."""

from __future__ import annotations

import re
from collections.abc import Callable

from stack.compose.container_reader import device_requests
from stack.compose.notice import Notice
from stack.compose.reader import Reader
from stack.compose.tree import fail
from stack.compose.types import (
    Deploy,
    GenericResource,
    Placement,
    Resources,
    RestartPolicy,
    UpdateConfig,
)

_Notify = Callable[[Notice], None]


def read_deploy(service: Reader, notice: _Notify) -> Deploy:
    """Read a service's ``deploy`` and ``restart``.

    Raises:
        ComposeError: a value of the wrong kind or without meaning.
    """
    deploy = service.below("deploy")
    mode = deploy.string("mode") or "replicated"
    if mode not in _MODES:
        raise deploy.fail("mode", f"{mode!r} is none of {', '.join(_MODES)}")
    replicas = deploy.integer("replicas")
    if replicas is None:
        replicas = service.integer("scale")
    if mode.startswith("global") and replicas is not None:
        raise deploy.fail("replicas", f"a {mode} service runs once on every node: leave it out")
    if mode.endswith("-job"):
        for key in ("update_config", "rollback_config"):
            if deploy.has(key):
                raise deploy.fail(
                    key, f"a {mode} has no updates, a change runs it anew: leave it out"
                )
    endpoint_mode = deploy.string("endpoint_mode").lower()
    if endpoint_mode not in ("", "vip", "dnsrr"):
        raise deploy.fail("endpoint_mode", f"{endpoint_mode!r} is neither vip nor dnsrr")
    resources = deploy.below("resources")
    return Deploy(
        mode=mode,
        replicas=replicas,
        labels=deploy.string_map("labels") or {},
        endpoint_mode=endpoint_mode,
        limits=_resources(resources.below("limits"), service, _LIMITS),
        reservations=_resources(resources.below("reservations"), service, _RESERVATIONS),
        restart_policy=_restart_policy(service, deploy.below("restart_policy"), notice),
        update_config=_update_config(
            deploy.below("update_config"), ("pause", "continue", "rollback")
        ),
        rollback_config=_update_config(deploy.below("rollback_config"), ("pause", "continue")),
        placement=_placement(deploy.below("placement")),
    )


_MODES = ("replicated", "global", "replicated-job", "global-job")
_LIMITS = ("cpus", "mem_limit", "pids_limit")
_RESERVATIONS = ("", "mem_reservation", "")


def _resources(reader: Reader, service: Reader, older: tuple[str, str, str]) -> Resources | None:
    cpus, memory, pids = older
    if reader.node is None and not any(service.has(key) for key in older if key):
        return None
    limit = service.integer(pids, -1) if pids else None
    return Resources(
        nano_cpus=reader.cpus("cpus") or (service.cpus(cpus) if cpus else 0),
        memory_bytes=reader.size("memory") or service.size(memory),
        pids=reader.integer("pids", -1) or limit or 0,
        generic_resources=tuple(
            GenericResource(kind=one.string("kind"), value=one.integer("value") or 0)
            for _, item in reader.maps("generic_resources")
            if (one := item.below("discrete_resource_spec")).node is not None
        ),
        devices=device_requests(reader, "devices"),
    )


_CONDITIONS = {
    "none": "none",
    "on-failure": "on-failure",
    "any": "any",
    "always": "any",
    "unless-stopped": "any",
    "no": "none",
}


def _restart_policy(service: Reader, policy: Reader, notice: _Notify) -> RestartPolicy | None:
    if policy.node is None:
        return _restart(service)
    condition = policy.string("condition")
    if condition:
        if condition not in _CONDITIONS:
            raise policy.fail("condition", f"{condition!r} is none of none, on-failure, any")
        known = _CONDITIONS[condition]
        if known != condition:
            text = f"{policy.path}.condition: {condition!r} is taken as {known!r}"
            notice(Notice(policy.mark("condition"), text))
        condition = known
    if service.has("restart"):
        text = f"{service.path}.restart: not applied: deploy.restart_policy says it"
        notice(Notice(service.mark("restart"), text))
    return RestartPolicy(
        condition=condition,
        delay_ns=policy.duration("delay"),
        max_attempts=policy.integer("max_attempts"),
        window_ns=policy.duration("window"),
    )


def _restart(service: Reader) -> RestartPolicy | None:
    text = service.string("restart")
    if not text:
        return None
    match = re.fullmatch(r"(no|always|unless-stopped|on-failure)(?::([0-9]{1,9}))?", text)
    if not match or (match[2] and match[1] != "on-failure"):
        allowed = "no, always, unless-stopped, on-failure or on-failure:N"
        raise service.fail("restart", f"{text!r} is none of {allowed}")
    attempts = int(match[2]) if match[2] else None
    return RestartPolicy(condition=_CONDITIONS[match[1]], max_attempts=attempts)


_UPDATE_ACTIONS = ("pause", "continue", "rollback")
_ROLLBACK_ACTIONS = ("pause", "continue")


def _update_config(reader: Reader, actions: tuple[str, ...]) -> UpdateConfig | None:
    if reader.node is None:
        return None
    parallelism = reader.integer("parallelism")
    return UpdateConfig(
        parallelism=1 if parallelism is None else parallelism,
        delay_ns=reader.duration("delay") or 0,
        failure_action=reader.choice("failure_action", actions),
        monitor_ns=reader.duration("monitor") or 0,
        max_failure_ratio=reader.number("max_failure_ratio"),
        order=reader.choice("order", ("stop-first", "start-first")),
    )


_CONSTRAINT = re.compile(r"\s*(?P<key>[A-Za-z_][\w.\-]*)\s*(?:==|!=)\s*(?P<value>\S.*?)\s*")
_CONSTRAINT_KEYS = re.compile(
    r"node\.(id|hostname|ip|role|platform\.(os|arch)|labels\..+)|engine\.labels\..+", re.IGNORECASE
)


def _placement(reader: Reader) -> Placement:
    constraints = reader.strings("constraints")
    for text in constraints:
        match = _CONSTRAINT.fullmatch(text)
        if not match:
            example = "write one like node.labels.zone==a or node.role!=manager"
            raise reader.fail("constraints", f"{text!r} is no constraint: {example}")
        if not _CONSTRAINT_KEYS.fullmatch(match["key"]):
            known = "node.id, .hostname, .ip, .role, .platform.os, .platform.arch, .labels.X"
            raise reader.fail("constraints", f"{text!r}: '{match['key']}' is none of {known}")
    preferences: list[str] = []
    for mark, item in reader.maps("preferences"):
        if not item.string("spread"):
            raise fail(mark, item.path, "a preference needs 'spread'")
        preferences.append(item.string("spread"))
    return Placement(
        constraints=constraints,
        spread_over=tuple(preferences),
        max_replicas_per_node=reader.integer("max_replicas_per_node") or 0,
    )
