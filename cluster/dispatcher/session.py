"""One node's session with the leader: what wakes its streams, and why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from cluster.errors import ClusterError, NotFound
from cluster.model.diagnosis import DiagnosisOrder
from cluster.model.ids import NetworkId, NodeId, TaskId
from cluster.rpc.messages import ManagerAddress, SessionMessage
from cluster.store.state import ClusterState


class Session:
    """A registered node.

    Its streams wait for their event, look at the state and send the difference; whatever changes
    while a message is on its way is in the next one.
    """

    def __init__(self, node_id: NodeId, session_id: str) -> None:
        """Open a session."""
        self.node_id = node_id
        self.id = session_id
        self.node_changed = asyncio.Event()
        self.tasks_changed = asyncio.Event()
        self.diagnosis: DiagnosisOrder | None = None  # what the node is to look for
        self.drained: frozenset[TaskId] = frozenset()  # of its tasks, those nobody connects to
        self._looked_at = 0  # revision of the state that the node's view was last made from
        self._told_view = 0  # revision of the view that it was told last
        self._applied_view = 0
        self._failed: frozenset[NetworkId] = frozenset()  # networks that are not as it says
        self._end: ClusterError | None = None

    def end(self, reason: ClusterError) -> None:
        """Make the streams fail with `reason`; the first reason counts."""
        if self._end is None:
            self._end = reason
        self.node_changed.set()
        self.tasks_changed.set()

    def note_told(self, state_revision: int, view_revision: int) -> None:
        """Note that the node is told all of its view at a revision of the state."""
        self._looked_at, self._told_view = state_revision, view_revision

    def note_applied(self, view_revision: int, failed: Iterable[NetworkId] = ()) -> None:
        """Note that the node's networks are as a view says; one told by somebody else is not.

        Args:
            view_revision: of the view.
            failed: networks that are not as it says.
        """
        if self._applied_view <= view_revision <= self._told_view:
            self._applied_view, self._failed = view_revision, frozenset(failed)

    def has_applied(self, state_revision: int, networks: Iterable[NetworkId]) -> bool:
        """Whether these of the node's networks are as a state, or a later one, wants.

        A view's revision is that of the state from which it was made. So where views change all
        the time, one that was applied counts though the node was told another one since.
        """
        if not self._failed.isdisjoint(networks):
            return False
        if self._applied_view >= state_revision:
            return True
        return self._looked_at >= state_revision and self._applied_view >= self._told_view

    def check(self) -> None:
        """Make sure that the session goes on.

        Raises:
            ClusterError: the reason why it ended.
        """
        if self._end is not None:
            raise self._end


def session_message(state: ClusterState, session: Session) -> SessionMessage:
    """Return what the node should know of itself and of the managers.

    Raises:
        NotFound: the node or the cluster is not in the store.
    """
    node, cluster = state.node(session.node_id), state.cluster
    if node is None or cluster is None:
        raise NotFound(f"node {session.node_id} is not in the store")
    managers = tuple(
        ManagerAddress(node_id=manager.id, addr=manager.manager_status.addr)
        for manager in state.nodes
        if manager.manager_status is not None
    )
    return SessionMessage(
        session_id=session.id,
        node=node,
        managers=managers,
        heartbeat_period_ns=cluster.heartbeat_period_ns,
        root_ca_pem=cluster.root_ca.cert_pem,
        issuer_pem=cluster.signing_root.cert_pem,
        diagnosis=session.diagnosis,
    )


def is_news(told: SessionMessage | None, message: SessionMessage) -> bool:
    """Whether the message says anything that the node has not been told or said itself."""
    return told is None or _wanted(told) != _wanted(message)


def _wanted(message: SessionMessage) -> SessionMessage:
    node = message.node
    own = msgspec.structs.replace(
        node,
        meta=type(node.meta)(),
        status=type(node.status)(),
        description=None,
        certificates=(),
    )
    return msgspec.structs.replace(message, node=own)
