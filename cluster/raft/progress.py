"""What a leader knows of one follower, and how fast it may send to it.

The paper's `nextIndex` and `matchIndex` (figure 2), with pipelining as in the Raft thesis,
section 10.2.1: a follower is first *probed* with one message at a time; once an entry matched,
entries are *replicated* without waiting for answers; a follower that needs entries that are gone
gets a *snapshot* and nothing else until it has it.
"""

from __future__ import annotations

from collections import deque
from enum import Enum


class SendMode(Enum):
    """How a follower is served now."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


class Progress:
    """One follower in the eyes of its leader.

    Attributes:
        match: highest index known to be durable at the follower.
        next: first index to send next; above `match`.
        mode: how it is served now.
        probe_sent: in PROBE, a message is out and no more are sent until an answer or heartbeat.
        pending_snapshot: in SNAPSHOT, the index of the snapshot it was sent.
        recent_active: heard of since the last check of the quorum.
    """

    __slots__ = (
        "_inflight",
        "_inflight_bytes",
        "_max_bytes",
        "_max_inflight",
        "match",
        "mode",
        "next",
        "pending_snapshot",
        "probe_sent",
        "recent_active",
    )

    def __init__(self, next_index: int, max_inflight: int, max_bytes: int) -> None:
        self.match = 0
        self.next = next_index
        self.mode = SendMode.PROBE
        self.probe_sent = False
        self.pending_snapshot = 0
        self.recent_active = False
        # Of each unanswered message the last index and the size.
        self._inflight: deque[tuple[int, int]] = deque()
        self._inflight_bytes = 0
        self._max_inflight = max_inflight
        self._max_bytes = max_bytes

    @property
    def is_paused(self) -> bool:
        """Nothing may be sent now."""
        match self.mode:
            case SendMode.PROBE:
                return self.probe_sent
            case SendMode.REPLICATE:
                return (
                    len(self._inflight) >= self._max_inflight
                    or self._inflight_bytes >= self._max_bytes
                )
            case SendMode.SNAPSHOT:
                return True

    @property
    def inflight_messages(self) -> int:
        """Messages sent and not answered, in REPLICATE."""
        return len(self._inflight)

    def probe(self) -> None:
        """Go one message at a time, from behind what is known to match."""
        if self.mode is SendMode.SNAPSHOT:
            self.next = max(self.match, self.pending_snapshot) + 1
        else:
            self.next = self.match + 1
        self._enter(SendMode.PROBE)

    def replicate(self) -> None:
        """Send without waiting for answers."""
        self._enter(SendMode.REPLICATE)
        self.next = self.match + 1

    def wait_for_snapshot(self, index: int) -> None:
        """Send nothing until the follower has the snapshot at `index`."""
        self._enter(SendMode.SNAPSHOT)
        self.pending_snapshot = index

    def sent(self, last_index: int, entry_count: int, size_bytes: int) -> None:
        """Note an append message that ended at `last_index`."""
        if self.mode is SendMode.REPLICATE:
            if entry_count:
                self.next = last_index + 1
                self._inflight.append((last_index, size_bytes))
                self._inflight_bytes += size_bytes
        else:
            self.probe_sent = True

    def accepted(self, index: int) -> bool:
        """Note that everything up to `index` matches; say whether that is news."""
        is_news = index > self.match
        if is_news:
            self.match = index
            self.probe_sent = False
        self.next = max(self.next, index + 1)
        while self._inflight and self._inflight[0][0] <= index:
            self._answered()
        return is_news

    def rejected(self, prev_index: int, hint_index: int) -> bool:
        """Step back after a rejection; say whether it was a fresh one.

        Args:
            prev_index: the index that did not match.
            hint_index: the highest index that may match.
        """
        if self.mode is SendMode.REPLICATE:
            if prev_index <= self.match:
                return False  # an old answer that was overtaken
            self.next = self.match + 1
            return True
        if self.next - 1 != prev_index:
            return False
        self.next = max(min(prev_index, hint_index + 1), self.match + 1)
        self.probe_sent = False
        return True

    def heartbeat_answered(self) -> None:
        """Let a silent follower have one more message, in case the last one was lost."""
        self.recent_active = True
        self.probe_sent = False
        if self.mode is SendMode.REPLICATE and self.is_paused:
            self._answered()

    def _answered(self) -> None:
        """Take the oldest message as answered."""
        _, size_bytes = self._inflight.popleft()
        self._inflight_bytes -= size_bytes

    def _enter(self, mode: SendMode) -> None:
        self.mode = mode
        self.probe_sent = False
        self.pending_snapshot = 0
        self._inflight.clear()
        self._inflight_bytes = 0
