"""Carry out a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from stack.deploy.plan import (
    CreateNetwork,
    CreateService,
    KeepService,
    RemoveService,
    Step,
    UpdateService,
    updated_spec,
)
from stack.engine.client import EngineClient
from stack.errors import OutOfSequence


class Applied(msgspec.Struct, frozen=True):
    """The IDs of all services of the stack, and what the server warned of (each text once)."""

    service_ids: tuple[str, ...]
    warnings: tuple[str, ...]


def apply(client: EngineClient, steps: Iterable[Step], say: Callable[[str], None]) -> Applied:
    """Send what the steps need, one after the other, telling each before it is sent.

    A service that changed since it was observed is read again and updated once more; the file
    wins over the other change, as it would have a moment later.

    Raises:
        EngineError: the API refused a step; the earlier ones stay done.
    """
    services: list[str] = []
    warnings: list[str] = []
    for step in steps:
        match step:
            case CreateNetwork(request):
                say(f"Creating network {request['Name']}")
                _, said = client.create_network(request)
                warnings += said
            case CreateService(spec):
                say(f"Creating service {spec['Name']}")
                service_id, said = client.create_service(spec)
                services.append(service_id)
                warnings += said
            case UpdateService(service_id, _, spec):
                say(f"Updating service {spec['Name']} (id: {service_id})")
                warnings += _update(client, step)
                services.append(service_id)
            case KeepService(service_id, name):
                say(f"Service {name} is unchanged (id: {service_id})")
                services.append(service_id)
            case RemoveService(service_id, name):
                say(f"Removing service {name}")
                client.remove_service(service_id)
    return Applied(tuple(services), tuple(dict.fromkeys(warnings)))


def _update(client: EngineClient, step: UpdateService) -> list[str]:
    try:
        return client.update_service(step.service_id, step.version, step.spec)
    except OutOfSequence:
        current = client.service(step.service_id)
        spec = updated_spec(current, step.spec)
        return client.update_service(step.service_id, current["Version"]["Index"], spec)
