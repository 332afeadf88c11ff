"""Devices that a task asks a driver for, as generic resources of its node.

A node has of a kind, such as ``gpu``, what its owner says: a number, or one for each name.  A
request for a number or for certain names holds them like any reservation.  One for all devices
holds none: its container sees each that its node has, whoever else uses them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from cluster.model.extensions import DeviceRequest
from cluster.model.generic_resources import wish_of
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.service import TaskSpec


def kind_of(request: DeviceRequest) -> str:
    """Return the kind of generic resource that is asked for.

    It is ``gpu`` where that is among the capabilities, else the first of these, else the driver.
    """
    if "gpu" in request.capabilities:
        return "gpu"
    return request.capabilities[0] if request.capabilities else request.driver


def requests_of(spec: TaskSpec) -> tuple[DeviceRequest, ...]:
    """Return the requests of a task."""
    return () if spec.extensions is None else spec.extensions.container.device_requests


def claims_of(spec: TaskSpec) -> Iterator[GenericResource]:
    """Yield what a task's requests hold of its node."""
    for request in requests_of(spec):
        kind = kind_of(request)
        for name in request.device_ids:
            yield GenericResource(named_resource_spec=NamedResource(kind=kind, value=name))
        if request.count > 0:
            discrete = DiscreteResource(kind=kind, value=request.count)
            yield GenericResource(discrete_resource_spec=discrete)


def shared_kinds_of(spec: TaskSpec) -> tuple[str, ...]:
    """Return the kinds of which a task asks for all devices that its node has."""
    return tuple({kind_of(r): None for r in requests_of(spec) if r.count < 0})


def with_names(
    requests: Iterable[DeviceRequest], given: Iterable[GenericResource]
) -> tuple[DeviceRequest, ...]:
    """Return requests for numbers as requests for the devices that their task was given by name.

    Where a node only counts its devices, the driver chooses.
    """
    requests = tuple(requests)
    named = {(kind_of(request), name) for request in requests for name in request.device_ids}
    free = {
        kind: [name for name in names if (kind, name) not in named]
        for kind, names in wish_of(given).names.items()
    }
    found: list[DeviceRequest] = []
    for request in requests:
        names = free.get(kind_of(request), [])
        if 0 < request.count <= len(names):
            chosen, names[:] = names[: request.count], names[request.count :]
            found.append(replace(request, count=0, device_ids=tuple(chosen)))
        else:
            found.append(request)
    return tuple(found)
