"""Units of measure that appear in stored objects."""

from __future__ import annotations

from typing import NewType

Timestamp = NewType("Timestamp", int)
"""Nanoseconds since 1970-01-01 UTC."""

DurationNs = int
"""Nanoseconds, as the Engine API sends durations."""

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


def after(moment: Timestamp, duration_ns: DurationNs) -> Timestamp:
    """Return the moment that lies `duration_ns` after `moment`."""
    return Timestamp(moment + duration_ns)
