"""Keys that wait to be looked at, each at most once."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, TypeVar

from cluster.model.units import Timestamp

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """De-duplicated keys: those due now in the order of arrival, those due later by their time.

    A key stands in the queue once.  Adding a key that waits for later makes it due now; giving it
    a later time replaces the time it had.
    """

    def __init__(self) -> None:
        """Make an empty queue."""
        self._due: deque[K] = deque()
        self._is_due: set[K] = set()
        self._later: dict[K, Timestamp] = {}
        self._heap: list[tuple[Timestamp, int, K]] = []
        self._counter = 0  # keeps the heap from comparing keys

    def add(self, key: K) -> None:
        """Make a key due now."""
        self._later.pop(key, None)
        if key not in self._is_due:
            self._is_due.add(key)
            self._due.append(key)

    def add_at(self, key: K, when: Timestamp) -> None:
        """Let a key become due at `when`, unless it is due already."""
        if key in self._is_due or self._later.get(key) == when:
            return
        self._later[key] = when
        self._counter += 1
        heapq.heappush(self._heap, (when, self._counter, key))

    def pop(self, now: Timestamp) -> K | None:
        """Take the next key that is due at `now`, or None."""
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._later.get(key) == when:
                self.add(key)
        if not self._due:
            return None
        key = self._due.popleft()
        self._is_due.discard(key)
        return key

    def next_due(self) -> Timestamp | None:
        """Return when a key becomes due: 0 for now, None for never."""
        if self._due:
            return Timestamp(0)
        while self._heap and self._later.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
