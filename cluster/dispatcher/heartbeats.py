"""Which nodes are late: sessions and the moments by which they must be heard of again.

Pure: times are seconds of a monotonic clock and come in, dice too.  The period is varied by a
tenth at every beat, so that nodes which registered together do not beat together for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cluster.errors import NotFound
from cluster.model.ids import NodeId
from cluster.model.spec_struct import ObjectStruct

GRACE_FACTOR: Final = 4.0
"""A node is down when it has been silent for this many periods."""

RETURN_FACTOR: Final = 6.0
SHORTEST_RETURN_S: Final = 5.0
"""After a change of leaders nodes get 6 periods, at least 5 s, to find the new one."""

BEATS_A_SECOND: Final = 250
"""More heartbeats are never asked for: with many nodes the period grows."""

_JITTER: Final = 0.1


def beat_period_s(period_s: float, nodes: int) -> float:
    """Return how often each of many nodes is to beat, where `period_s` is the cluster's."""
    return max(period_s, nodes / BEATS_A_SECOND)


class _Watched(ObjectStruct, frozen=True, kw_only=True, gc=False):
    session_id: str  # "" for a node that has yet to come back
    deadline_s: float


class Heartbeats:
    """The nodes that must be heard of, each with a deadline."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """Start with no node; `dice` returns a number in [0, 1)."""
        self._dice = dice
        self._nodes: dict[NodeId, _Watched] = {}

    def __contains__(self, node_id: NodeId) -> bool:
        return node_id in self._nodes

    def await_return(self, node_id: NodeId, now_s: float, period_s: float) -> None:
        """Give a node without session the longer grace to open one."""
        grace_s = max(RETURN_FACTOR * period_s, SHORTEST_RETURN_S)
        self._nodes[node_id] = _Watched(session_id="", deadline_s=now_s + grace_s)

    def open_session(self, node_id: NodeId, session_id: str, now_s: float, period_s: float) -> None:
        """Begin to watch a session, in place of the node's earlier one."""
        self._nodes[node_id] = _Watched(
            session_id=session_id, deadline_s=now_s + GRACE_FACTOR * period_s
        )

    def beat(self, node_id: NodeId, session_id: str, now_s: float, period_s: float) -> float:
        """Count a heartbeat and return after how many seconds to send the next.

        Raises:
            NotFound: that session is not the node's (any more); it must open a new one.
        """
        self.check(node_id, session_id)
        next_s = period_s * (1.0 - _JITTER + 2.0 * _JITTER * self._dice())
        self._nodes[node_id] = _Watched(
            session_id=session_id, deadline_s=now_s + GRACE_FACTOR * next_s
        )
        return next_s

    def check(self, node_id: NodeId, session_id: str) -> None:
        """Make sure that the node's session is that one.

        Raises:
            NotFound: it is not.
        """
        watched = self._nodes.get(node_id)
        if watched is None or not session_id or watched.session_id != session_id:
            raise NotFound(f"node {node_id} has no such session: open a new one")

    def end(self, node_id: NodeId) -> None:
        """Stop to watch a node."""
        self._nodes.pop(node_id, None)

    def take_late(self, now_s: float) -> list[NodeId]:
        """Return the nodes whose deadline has passed, sorted, and stop to watch them."""
        late = sorted(n for n, watched in self._nodes.items() if watched.deadline_s <= now_s)
        for node_id in late:
            del self._nodes[node_id]
        return late

    def next_deadline_s(self) -> float | None:
        """Return the earliest deadline, None if no node is watched."""
        return min((watched.deadline_s for watched in self._nodes.values()), default=None)

    def forgive(self, lost_s: float) -> None:
        """Move every deadline, because this manager itself heard nobody for that long."""
        for node_id, watched in self._nodes.items():
            self._nodes[node_id] = _Watched(
                session_id=watched.session_id, deadline_s=watched.deadline_s + lost_s
            )
