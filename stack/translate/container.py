"""What runs: a service's ``ContainerSpec``."""

from __future__ import annotations

from stack.compose.types import Compose, Healthcheck, Service
from stack.engine.payloads import Json
from stack.translate.attached_files import config_references, secret_references
from stack.translate.capabilities import effective
from stack.translate.mounts import mount_payloads
from stack.translate.names import full_image, labelled
from stack.translate.security import privileges


def container_spec(compose: Compose, service: Service) -> Json:
    """The container part of the task template.

    The API calls the entrypoint ``Command`` and the command ``Args``.
    """
    added, dropped = effective(service.cap_add, service.cap_drop)
    spec: Json = {
        "Image": full_image(service.image),
        "Labels": labelled(compose.name, service.labels),
        "Command": list(service.entrypoint),
        "Args": list(service.command),
        "Hostname": service.hostname,
        "Env": sorted(f"{name}={value}" for name, value in service.environment.items()),
        "Dir": service.working_dir,
        "User": service.user,
        "Groups": list(service.group_add),
        "StopSignal": service.stop_signal,
        "TTY": service.tty,
        "OpenStdin": service.stdin_open,
        "ReadOnly": service.read_only,
        "Mounts": mount_payloads(compose, service),
        "Secrets": secret_references(compose, service),
        "Configs": config_references(compose, service),
        "Hosts": [f"{address} {host}" for host, address in service.extra_hosts],
        "DNSConfig": _dns(service),
        "Isolation": service.isolation,
        "Sysctls": dict(service.sysctls),
        "CapabilityAdd": added,
        "CapabilityDrop": dropped,
        "Ulimits": [
            {"Name": name, "Soft": limit.soft, "Hard": limit.hard}
            for name, limit in sorted(service.ulimits.items())
        ],
        "OomScoreAdj": service.oom_score_adj,
    }
    spec = {name: value for name, value in spec.items() if value}
    spec["Privileges"] = _privileges(service)
    if service.init is not None:  # false is not the same as absent
        spec["Init"] = service.init
    if service.stop_grace_period_ns is not None:
        spec["StopGracePeriod"] = service.stop_grace_period_ns
    if service.healthcheck is not None:
        spec["Healthcheck"] = _healthcheck(service.healthcheck)
    return spec


def _dns(service: Service) -> Json:
    payload: Json = {
        "Nameservers": list(service.dns),
        "Search": list(service.dns_search),
        "Options": list(service.dns_opt),
    }
    return {name: value for name, value in payload.items() if value}


def _privileges(service: Service) -> Json:
    made, _ = privileges(service.name, service.security_opt)
    credentials = service.credential_spec
    if credentials is not None:
        made["CredentialSpec"] = {
            "Config": credentials.config,
            "File": credentials.file,
            "Registry": credentials.registry,
        }
    return made


def _healthcheck(check: Healthcheck) -> Json:
    payload: Json = {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    return {name: value for name, value in payload.items() if value}
