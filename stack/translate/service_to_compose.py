"""A service's spec in the Engine API to its entry in a compose file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stack.compose.quantities import duration_text
from stack.engine.payloads import Json
from stack.translate.extensions import EXTENSION_LABEL
from stack.translate.names import IMAGE_LABEL, NAMESPACE_LABEL, full_image

_TEXTS = {
    "Hostname": "hostname",
    "Dir": "working_dir",
    "User": "user",
    "StopSignal": "stop_signal",
}
_FLAGS = {"TTY": "tty", "OpenStdin": "stdin_open", "ReadOnly": "read_only"}
_LISTS = {"Groups": "group_add", "CapabilityAdd": "cap_add", "CapabilityDrop": "cap_drop"}
_ELSEWHERE = (
    "Image", "Args", "Command", "Env", "Labels", "Mounts", "Secrets", "Configs", "Hosts",
    "DNSConfig", "Healthcheck", "HealthCheck", "StopGracePeriod", "Init", "Sysctls", "Ulimits",
    "Isolation", "Privileges", "OomScoreAdj",
)  # fmt: skip


def service_entry(spec: Json) -> tuple[Json, list[str]]:
    """The entry without what refers to other objects, and notes on what it does not say."""
    template = spec["TaskTemplate"]
    container = template["ContainerSpec"]
    entry: Json = {"image": _image(spec, container["Image"])}
    entry.update(_container(container))
    logging = template.get("LogDriver")
    if logging:
        entry["logging"] = _without_empty(
            {"driver": logging.get("Name"), "options": logging.get("Options")}
        )
    published = (spec.get("EndpointSpec") or {}).get("Ports") or ()
    settings = _port_settings(spec)
    ports = [entry for port in published for entry in _port(port, settings)]
    if ports:
        entry["ports"] = ports
    deploy = _deploy(spec)
    if deploy:
        entry["deploy"] = deploy
    return entry, list(_notes(spec, container))


def _image(spec: Json, running: str) -> str:
    """The image as it was written; its registry is asked for the digest when it is deployed."""
    written = str((spec.get("Labels") or {}).get(IMAGE_LABEL, ""))
    is_same = written and running.split("@", 1)[0] in (written, full_image(written))
    return written if is_same else running


def _notes(spec: Json, container: Json) -> Iterator[str]:
    known = {*_TEXTS, *_FLAGS, *_LISTS, *_ELSEWHERE}
    for name in sorted(set(container) - known):
        if container[name]:
            yield f"ContainerSpec.{name} is not in the file"
    privileges = container.get("Privileges") or {}
    if any(
        privileges.get(name) for name in ("CredentialSpec", "SELinuxContext", "Seccomp", "AppArmor")
    ):
        yield "ContainerSpec.Privileges is not in the file"
    others = sorted(set(_beyond_the_api(spec)) - {"ports"})
    if others:
        yield f"settings of Stackyard's own label are not in the file: {', '.join(others)}"


def _container(container: Json) -> Iterator[tuple[str, Any]]:
    yield from _program(container)
    for names in (_TEXTS, _FLAGS, _LISTS):
        for member, word in names.items():
            value = container.get(member)
            if value:
                yield word, _plain(value) if isinstance(value, str) else value
    yield from _surroundings(container)
    if container.get("Init") is not None:
        yield "init", container["Init"]
    if container.get("StopGracePeriod") is not None:
        yield "stop_grace_period", duration_text(container["StopGracePeriod"])
    check = container.get("Healthcheck") or container.get("HealthCheck")
    if check:
        yield "healthcheck", _healthcheck(check)
    if (container.get("Privileges") or {}).get("NoNewPrivileges"):
        yield "security_opt", ["no-new-privileges"]


def _program(container: Json) -> Iterator[tuple[str, Any]]:
    for member, word in (("Command", "entrypoint"), ("Args", "command")):
        if container.get(member):
            yield word, [_plain(one) for one in container[member]]
    if container.get("Env"):
        pairs = (one.partition("=") for one in container["Env"])
        yield "environment", {name: _plain(value) for name, _, value in pairs}
    labels = {
        name: _plain(value)
        for name, value in (container.get("Labels") or {}).items()
        if name != NAMESPACE_LABEL
    }
    if labels:
        yield "labels", labels


def _surroundings(container: Json) -> Iterator[tuple[str, Any]]:
    if container.get("Sysctls"):
        yield "sysctls", dict(container["Sysctls"])
    if container.get("OomScoreAdj"):
        yield "oom_score_adj", container["OomScoreAdj"]
    hosts = [one.split() for one in container.get("Hosts") or ()]
    if hosts:
        yield "extra_hosts", [f"{name}={address}" for address, *names in hosts for name in names]
    limits = {
        one["Name"]: {"soft": one.get("Soft", 0), "hard": one.get("Hard", 0)}
        for one in container.get("Ulimits") or ()
    }
    if limits:
        yield "ulimits", limits
    dns = container.get("DNSConfig") or {}
    for member, word in (("Nameservers", "dns"), ("Search", "dns_search"), ("Options", "dns_opt")):
        if dns.get(member):
            yield word, dns[member]


def _healthcheck(check: Json) -> Json:
    return _without_empty(
        {
            "test": [_plain(one) for one in check.get("Test") or ()],
            "retries": check.get("Retries"),
            **{
                word: duration_text(check[member])
                for member, word in (
                    ("Interval", "interval"),
                    ("Timeout", "timeout"),
                    ("StartPeriod", "start_period"),
                    ("StartInterval", "start_interval"),
                )
                if check.get(member)
            },
        }
    )


def _port(port: Json, settings: list[Json]) -> Iterator[Json]:
    """One entry for each address that the port is limited to."""
    protocol = port.get("Protocol") or "tcp"
    numbers = (port["TargetPort"], port.get("PublishedPort") or 0, protocol)
    said: Json = next((one for one in settings if _port_numbers(one) == numbers), {})
    for address in said.get("host_ips") or [""]:
        yield _without_empty(
            {
                "target": port["TargetPort"],
                "published": port.get("PublishedPort"),
                "protocol": protocol,
                "mode": port.get("PublishMode") or "ingress",
                "host_ip": address,
                "x-hide-client": said.get("hide_client"),
            }
        )


def _port_numbers(settings: Json) -> tuple[int, int, str]:
    return settings["target"], settings.get("published", 0), settings.get("protocol", "tcp")


def _port_settings(spec: Json) -> list[Json]:
    """What the label says of ports: without it they would be published on all addresses."""
    return list(_beyond_the_api(spec).get("ports") or ())


def _beyond_the_api(spec: Json) -> Json:
    text = (spec.get("Labels") or {}).get(EXTENSION_LABEL)
    return dict(json.loads(text)) if text else {}


def _deploy(spec: Json) -> Json:
    template = spec["TaskTemplate"]
    deploy: Json = dict(_mode(spec.get("Mode") or {}))
    endpoint = (spec.get("EndpointSpec") or {}).get("Mode")
    if endpoint and endpoint != "vip":
        deploy["endpoint_mode"] = endpoint
    for member, word in (("UpdateConfig", "update_config"), ("RollbackConfig", "rollback_config")):
        if spec.get(member):
            deploy[word] = _update(spec[member])
    policy = template.get("RestartPolicy")
    if policy:
        deploy["restart_policy"] = _without_empty(
            {
                "condition": policy.get("Condition"),
                "max_attempts": policy.get("MaxAttempts") or None,
                "delay": _duration(policy, "Delay"),
                "window": _duration(policy, "Window"),
            }
        )
    placement = _placement(template.get("Placement") or {})
    if placement:
        deploy["placement"] = placement
    resources = _without_empty(
        {
            word: _amounts((template.get("Resources") or {}).get(member) or {})
            for member, word in (("Limits", "limits"), ("Reservations", "reservations"))
        }
    )
    if resources:
        deploy["resources"] = resources
    return deploy


def _mode(mode: Json) -> Iterator[tuple[str, Any]]:
    if "Global" in mode:
        yield "mode", "global"
    elif "GlobalJob" in mode:
        yield "mode", "global-job"
    elif "ReplicatedJob" in mode:
        yield "mode", "replicated-job"
        yield "replicas", (mode["ReplicatedJob"] or {}).get("TotalCompletions", 1)
    else:
        replicas = (mode.get("Replicated") or {}).get("Replicas", 1)
        if replicas != 1:
            yield "replicas", replicas


def _update(config: Json) -> Json:
    entry: Json = {"parallelism": config.get("Parallelism", 1)}
    for member, word in (("Delay", "delay"), ("Monitor", "monitor")):
        if config.get(member):
            entry[word] = duration_text(config[member])
    for member, word in (("FailureAction", "failure_action"), ("Order", "order")):
        if config.get(member):
            entry[word] = config[member]
    if config.get("MaxFailureRatio"):
        entry["max_failure_ratio"] = config["MaxFailureRatio"]
    return entry


def _placement(placement: Json) -> Json:
    return _without_empty(
        {
            "constraints": placement.get("Constraints"),
            "preferences": [
                {"spread": one["Spread"]["SpreadDescriptor"]}
                for one in placement.get("Preferences") or ()
                if one.get("Spread")
            ],
            "max_replicas_per_node": placement.get("MaxReplicas"),
        }
    )


def _amounts(resources: Json) -> Json:
    cpus = resources.get("NanoCPUs")
    return _without_empty(
        {
            "cpus": f"{cpus / 1e9:.9f}".rstrip("0").rstrip(".") if cpus else None,
            "memory": str(resources["MemoryBytes"]) if resources.get("MemoryBytes") else None,
            "pids": resources.get("Pids"),
            "generic_resources": [
                {"discrete_resource_spec": {"kind": one["Kind"], "value": one["Value"]}}
                for generic in resources.get("GenericResources") or ()
                if (one := generic.get("DiscreteResourceSpec"))
            ],
        }
    )


def _duration(values: Json, member: str) -> str | None:
    return duration_text(values[member]) if values.get(member) is not None else None


def _plain(text: str) -> str:
    """A text in which ``$`` means itself."""
    return text.replace("$", "$$")


def _without_empty(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
