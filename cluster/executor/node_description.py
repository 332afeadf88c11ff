"""What this node says of itself, from the engine's ``/info``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.errors import InvalidArgument
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


def parse_generic_resources(texts: Iterable[str]) -> tuple[GenericResource, ...]:
    """Read what ``stackd --generic-resource`` says: ``ssd=4``, or ``gpu=ID-1`` for each by name.

    Raises:
        InvalidArgument: an entry is no KIND=VALUE, or a kind is counted twice or both counted and
            named.
    """
    found: list[GenericResource] = []
    counted: set[str] = set()
    named: dict[str, set[str]] = {}
    for text in (part.strip() for whole in texts for part in whole.split(",")):
        kind, sign, value = text.partition("=")
        if not (sign and kind and value):
            raise InvalidArgument(f"{text!r}: write KIND=NUMBER or KIND=NAME, as ssd=4 or gpu=ID-1")
        if value.isascii() and value.isdigit():
            if kind in counted:
                raise InvalidArgument(f"{text!r}: {kind} is counted twice; give one number")
            counted.add(kind)
            resource = DiscreteResource(kind=kind, value=int(value))
            found.append(GenericResource(discrete_resource_spec=resource))
        else:
            if value in named.setdefault(kind, set()):
                raise InvalidArgument(f"{text!r}: is given twice")
            named[kind].add(value)
            found.append(GenericResource(named_resource_spec=NamedResource(kind=kind, value=value)))
        if kind in counted and kind in named:
            raise InvalidArgument(f"{text!r}: {kind} is both counted and named; do one of them")
    return tuple(found)


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
