"""What runs: a service's ``ContainerSpec``."""

from __future__ import annotations

from stack.compose.types import Compose, Healthcheck, Service
from stack.engine.payloads import Json
from stack.translate.mounts import mount_payload
from stack.translate.names import full_image, labelled


def container_spec(compose: Compose, service: Service) -> Json:
    """The container part of the task template.

    The API calls the entrypoint ``Command`` and the command ``Args``.
    """
    spec: Json = {
        "Image": full_image(service.image),
        "Labels": labelled(compose.name, service.labels),
        "Command": list(service.entrypoint),
        "Args": list(service.command),
        "Hostname": service.hostname,
        "Env": sorted(f"{name}={value}" for name, value in service.environment.items()),
        "Dir": service.working_dir,
        "User": service.user,
        "StopSignal": service.stop_signal,
        "TTY": service.tty,
        "OpenStdin": service.stdin_open,
        "ReadOnly": service.read_only,
        "Mounts": [mount_payload(compose.name, one, compose.volumes) for one in service.mounts],
    }
    spec = {name: value for name, value in spec.items() if value}
    # Docker's client always sends this; without it, changing between the two clients would be
    # a change of the spec and restart tasks.
    spec["Privileges"] = {
        "CredentialSpec": None,
        "SELinuxContext": None,
        "NoNewPrivileges": False,
    }
    if service.init is not None:  # false is not the same as absent
        spec["Init"] = service.init
    if service.stop_grace_period_ns is not None:
        spec["StopGracePeriod"] = service.stop_grace_period_ns
    if service.healthcheck is not None:
        spec["Healthcheck"] = _healthcheck(service.healthcheck)
    return spec


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
