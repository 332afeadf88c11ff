"""Units of measure that appear in stored objects."""

from __future__ import annotations

from typing import Annotated, NamedTuple, NewType

Timestamp = NewType("Timestamp", int)
"""Nanoseconds since 1970-01-01 UTC."""

DurationNs = int
"""Nanoseconds, as the Engine API sends durations."""


class WholeNumbers(NamedTuple):
    """Both ends of a range, as a note on a member's type; others fit into 64 bits with a sign.

    Only the API's edge looks at it: what is stored already must stay readable.
    """

    low: int
    high: int

    def __str__(self) -> str:
        """Return the range as an error shows it."""
        return f"{self.low} to {self.high}"


Uint32 = Annotated[int, WholeNumbers(0, 2**32 - 1)]
"""A number that clients of the Engine API read into 32 bits without a sign."""

Uint64 = Annotated[int, WholeNumbers(0, 2**64 - 1)]
"""The same with 64 bits."""

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


def after(moment: Timestamp, duration_ns: DurationNs) -> Timestamp:
    """Return the moment that lies `duration_ns` after `moment`."""
    return Timestamp(moment + duration_ns)
