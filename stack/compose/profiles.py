"""Profiles: which services a project has, given the profiles that are switched on."""

from __future__ import annotations

from collections.abc import Iterable

from stack.compose.tree import Mapping, Scalar, items_at, map_at, with_values

EVERY = "*"


def profiles_of(service: object) -> tuple[str, ...]:
    """The profiles a service names."""
    items = items_at(service, "profiles") if isinstance(service, Mapping) else ()
    return tuple(item.text for item in items if isinstance(item, Scalar))


def only_active(root: Mapping, active: Iterable[str]) -> Mapping:
    """Leave out services that name profiles, none of which is switched on.

    Args:
        root: a canonical tree.
        active: names of profiles; ``*`` switches on all.
    """
    services = map_at(root, "services")
    if services is None:
        return root
    wanted = set(active)
    entries = {
        name: entry
        for name, entry in services.entries.items()
        if not (named := profiles_of(entry.value)) or EVERY in wanted or wanted.intersection(named)
    }
    return with_values(root, {"services": Mapping(entries, services.mark)})


def named_profiles(root: Mapping) -> tuple[str, ...]:
    """All profiles that services name, sorted."""
    services = map_at(root, "services")
    entries = services.entries.values() if services is not None else ()
    return tuple(sorted({name for entry in entries for name in profiles_of(entry.value)}))
