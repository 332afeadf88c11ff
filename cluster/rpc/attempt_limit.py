"""Counts failed attempts to join, so that guessing costs the manager little."""

from __future__ import annotations

from collections import deque
from typing import Final

FAILURES: Final = 10
WINDOW_S: Final = 60.0

_ADDRESSES: Final = 1024


class AttemptLimit:
    """At most 10 failures an address a minute; a success forgets them.

    Only a brake on load: the secret in a token has 128 bits and is not guessed at any rate.
    """

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long the address must wait before it may try again, 0 if not at all."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < FAILURES:
            return 0.0
        return max(0.0, failures[0] + WINDOW_S - now_s)

    def failed(self, address: str, now_s: float) -> None:
        """Count a failure."""
        # moved to the end, so that the address that failed longest ago is forgotten first
        failures = self._failures.pop(address, None) or deque(maxlen=FAILURES)
        failures.append(now_s)
        self._failures[address] = failures
        if len(self._failures) > _ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        """Forget the address's failures."""
        self._failures.pop(address, None)
