"""What this node says of itself, from the engine's ``/info``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.model.node import EngineDescription, EnginePlugin, NodeDescription
from cluster.model.placement import Platform
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource, Resources

NANOS_PER_CPU = 1_000_000_000


def node_description(info: dict[str, Any]) -> NodeDescription:
    """Describe the node; equal engines give equal descriptions, whatever their order of answers."""
    return NodeDescription(
        hostname=info.get("Name") or "",
        platform=Platform(architecture=info.get("Architecture") or "", os=info.get("OSType") or ""),
        resources=Resources(
            nano_cpus=int(info.get("NCPU") or 0) * NANOS_PER_CPU,
            memory_bytes=int(info.get("MemTotal") or 0),
            generic_resources=tuple(map(_generic_resource, info.get("GenericResources") or ())),
        ),
        engine=EngineDescription(
            engine_version=info.get("ServerVersion") or "",
            labels=dict(_labels(info.get("Labels") or ())) or None,
            plugins=tuple(
                EnginePlugin(type=kind, name=name)
                for kind, names in sorted((info.get("Plugins") or {}).items())
                for name in sorted(names or ())
            ),
        ),
    )


def _labels(entries: Iterable[str]) -> Iterable[tuple[str, str]]:
    for entry in sorted(entries):
        name, _, value = entry.partition("=")
        yield name, value


def _generic_resource(entry: dict[str, Any]) -> GenericResource:
    named, discrete = entry.get("NamedResourceSpec"), entry.get("DiscreteResourceSpec")
    if named is not None:
        resource = NamedResource(kind=named["Kind"], value=named["Value"])
        return GenericResource(named_resource_spec=resource)
    discrete = discrete or {}
    return GenericResource(
        discrete_resource_spec=DiscreteResource(
            kind=discrete.get("Kind", ""), value=int(discrete.get("Value", 0))
        )
    )
