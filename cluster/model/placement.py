"""Where a task may run."""

from __future__ import annotations

import msgspec

from cluster.model.spec_struct import SpecStruct
from cluster.model.units import Uint64


class SpreadOver(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Spread evenly over the values of ``node.labels.X`` or ``engine.labels.X``."""

    spread_descriptor: str = ""


class PlacementPreference(SpecStruct, frozen=True, kw_only=True, gc=False):
    """A wish that ranks fitting nodes and never excludes one."""

    spread: SpreadOver | None = None


class Platform(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Machine architecture and operating system; an empty member matches any."""

    architecture: str = ""
    os: str = msgspec.field(default="", name="OS")


class Placement(SpecStruct, frozen=True, kw_only=True, gc=False):
    """Constraints, preferences and limits of placement; `max_replicas` per node, 0 = no limit."""

    constraints: tuple[str, ...] = ()
    preferences: tuple[PlacementPreference, ...] = ()
    max_replicas: Uint64 = 0
    platforms: tuple[Platform, ...] = ()

    @property
    def spread_over(self) -> tuple[str, ...]:
        """The labels over whose values tasks are spread, the most important first."""
        return tuple(p.spread.spread_descriptor for p in self.preferences if p.spread)
