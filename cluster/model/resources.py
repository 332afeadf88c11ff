"""CPU, memory and generic resources: limits, reservations and what a node has."""

from __future__ import annotations

import msgspec

from cluster.model.spec_struct import SpecStruct


class NamedResource(SpecStruct, frozen=True, kw_only=True, gc=False):
    """One resource of a kind that is told apart by name, for example a GPU's UUID."""

    kind: str = ""
    value: str = ""


class DiscreteResource(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A number of equal resources of a kind."""

    kind: str = ""
    value: int = 0


class GenericResource(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Either a named or a discrete resource."""

    named_resource_spec: NamedResource | None = None
    discrete_resource_spec: DiscreteResource | None = None


class Resources(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Resources of a node, or reserved for a task.

    `nano_cpus` counts billionths of a core, `memory_bytes` bytes; 0 means none reserved.
    """

    nano_cpus: int = msgspec.field(default=0, name="NanoCPUs")
    memory_bytes: int = 0
    generic_resources: tuple[GenericResource, ...] = ()


class Limits(SpecStruct, frozen=True, kw_only=True, gc=False):
    """What a task may use at most; 0 means no limit."""

    nano_cpus: int = msgspec.field(default=0, name="NanoCPUs")
    memory_bytes: int = 0
    pids: int = 0


class ResourceRequirements(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Limits (enforced by the engine) and reservations (counted by the scheduler)."""

    limits: Limits | None = None
    reservations: Resources | None = None
