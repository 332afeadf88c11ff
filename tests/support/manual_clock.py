"""A clock that stands still until it is told to move."""

from __future__ import annotations

from cluster.model.units import SECOND_NS, Timestamp

START = Timestamp(1_700_000_000 * SECOND_NS)


class ManualClock:
    """A `cluster.clock.Clock` for tests that need no event loop with virtual time."""

    def __init__(self, start: Timestamp = START) -> None:
        self._start = start
        self._passed_ns = 0

    def now(self) -> Timestamp:
        return Timestamp(self._start + self._passed_ns)

    def monotonic_s(self) -> float:
        return self._passed_ns / SECOND_NS

    def advance(self, seconds: float) -> None:
        self._passed_ns += round(seconds * SECOND_NS)
