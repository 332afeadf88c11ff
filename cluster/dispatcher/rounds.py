"""One round of looking for trouble: all nodes are ordered to look, and answers are heard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from cluster.clock import Clock
from cluster.dispatcher.session import Session
from cluster.model.diagnosis import Answered, DiagnosisOrder, NodeDiagnosis
from cluster.model.ids import NodeId
from cluster.model.network_view import DEFAULT_DATA_PORT, PeerNode
from cluster.model.units import Timestamp
from cluster.store.state import ClusterState

PATIENCE_S: Final = 20.0
"""Nodes take about five seconds; busy ones more."""


class Round:
    """A round that has begun."""

    def __init__(self, order: DiagnosisOrder, clock: Clock) -> None:
        """Begin to hear answers to `order`."""
        self.order = order
        self._clock = clock
        self._orders: dict[NodeId, DiagnosisOrder] = {}
        self._sent: dict[NodeId, Timestamp] = {}
        self._answers: dict[NodeId, Answered] = {}
        self._heard = asyncio.Event()

    def take(self, node_id: NodeId, order_id: str, diagnosis: NodeDiagnosis) -> None:
        """Take an answer; one to an earlier order is none."""
        sent = self._sent.get(node_id)
        if sent is None or order_id != self.order.id:
            return
        self._answers[node_id] = Answered(
            sent_at=sent, heard_at=self._clock.now(), diagnosis=diagnosis
        )
        self._heard.set()

    def order_of(self, node_id: NodeId) -> DiagnosisOrder | None:
        """Return what a node was ordered, which goes on when it opens another session."""
        return self._orders.get(node_id)

    async def run(
        self, sessions: Mapping[NodeId, Session], state: ClusterState
    ) -> dict[NodeId, Answered]:
        """Order the nodes to look, and return what they have said by the end of the patience.

        Args:
            sessions: those of all nodes, now and later.
            state: the cluster's.
        """
        for node_id, session in sessions.items():
            node = state.node(node_id)
            if node is not None:
                session.diagnosis = self._orders[node_id] = replace(
                    self.order, own_index=node.network_index, own_address=node.status.addr
                )
                self._sent[node_id] = self._clock.now()
                session.node_changed.set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._sent.keys() - self._answers.keys():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            pass
        finally:
            for session in sessions.values():
                session.diagnosis = None
                session.node_changed.set()
        return self._answers


def order_for(state: ClusterState, order_id: str) -> DiagnosisOrder:
    """Return what all nodes are told, without what is each one's own."""
    cluster = state.cluster
    ready = [node for node in state.nodes if node.status.state == "ready"]
    return DiagnosisOrder(
        id=order_id,
        peers=tuple(
            PeerNode(index=node.network_index, address=node.status.addr, node_id=node.id)
            for node in ready
            if node.network_index and node.status.addr
        ),
        managers=tuple(
            sorted(node.manager_status.addr for node in state.nodes if node.manager_status)
        ),
        data_port=cluster.data_port if cluster is not None else DEFAULT_DATA_PORT,
    )
