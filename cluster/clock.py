"""The clock: the only module that may read the time."""

from __future__ import annotations

import time
from typing import Protocol

from cluster.model.units import Timestamp


class Clock(Protocol):
    """Where shells get the time from; tests give their own."""

    def now(self) -> Timestamp:
        """Return the wall clock in nanoseconds since 1970 (UTC)."""
        ...

    def monotonic_s(self) -> float:
        """Return a clock in seconds that never goes back, for deadlines inside one process."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Timestamp:
        """Return the wall clock in nanoseconds since 1970 (UTC)."""
        return Timestamp(time.time_ns())

    def monotonic_s(self) -> float:
        """Return the monotonic clock in seconds."""
        return time.monotonic()
