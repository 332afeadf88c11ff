"""Growing pauses between tries."""

from __future__ import annotations

from cluster.model.units import SECOND_NS, DurationNs

FIRST_NS = SECOND_NS // 10
LONGEST_NS = 10 * SECOND_NS


def pause_ns(failures: int) -> DurationNs:
    """Return how long to wait after so many failures in a row: 0.1 s, doubling up to 10 s.

    Args:
        failures: at least 1.
    """
    return min(LONGEST_NS, FIRST_NS << min(failures - 1, 16))
