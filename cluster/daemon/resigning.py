"""A node that leaves is made a worker first, so that no manager counts on it any more.

Only the leader knows what a node is by now: one that was promoted a moment ago may have a vote
without having heard of it, and one that has no manager's certificate yet may have a place in the
group.  So whoever leaves asks, whatever it takes itself for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec
import structlog

from cluster.ca.identity import NodeIdentity
from cluster.errors import NotFound, NotLeader, Unavailable
from cluster.model.audit import Author
from cluster.model.ids import NodeId
from cluster.model.node import Node
from cluster.raft.quorum import LOSS_OF_QUORUM
from cluster.rpc.messages import Empty, LeaveRequest
from cluster.store.audit_log import record
from cluster.store.interface import ClusterStore
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

log = structlog.get_logger()

DEMOTION_TIMEOUT_S: Final = 8.0
"""How long the leader takes for one request at most."""

RETRY_S: Final = 0.05

NO_LEADER: Final = (
    "The swarm does not have a leader. It's possible that too few managers are online. "
    "Make sure more than half of the managers are online."
)


class LeadingStore(ClusterStore, Protocol):
    """A store that knows whether this manager leads."""

    @property
    def is_leader(self) -> bool:
        """Whether this manager leads."""
        ...


class Releases:
    """The managers' side: lets nodes go."""

    def __init__(
        self, store: LeadingStore, check_demotion: Callable[[Node], Awaitable[None]]
    ) -> None:
        """Work on `store`; `check_demotion` raises if the others could not go on."""
        self._store = store
        self._check_demotion = check_demotion

    async def release(self, caller: NodeIdentity, request: LeaveRequest) -> Empty:  # noqa: ARG002
        """Demote the caller, which leaves the cluster, and return once that is done.

        A voter, a learner and a node that was to become one are demoted alike.

        Raises:
            NotLeader: ask the leader.
            FailedPrecondition: the managers could not go on without the caller.
            Unavailable: it is not done yet.
        """
        node = self._store.view().node(caller.node_id)
        if not self._store.is_leader:
            raise NotLeader("this manager does not lead")
        if node is None or (node.spec.role == "worker" and _is_worker(node)):
            return Empty()
        await self._check_demotion(node)
        await self._store.update(lambda tx: _wish_worker(tx, caller.node_id))
        async with self._store.subscribe() as feed:
            if _is_released(feed.start, caller.node_id):
                return Empty()
            try:
                async with asyncio.timeout(DEMOTION_TIMEOUT_S):
                    async for committed in feed:
                        if _is_released(committed.state, caller.node_id):
                            return Empty()
            except TimeoutError:
                pass
        raise Unavailable(f"node {caller.node_id} is not demoted yet: {LOSS_OF_QUORUM}?")


async def resign(
    leader_addr: Callable[[], str], ask: Callable[[str], Awaitable[None]], *, patience_s: float
) -> None:
    """Have the leader make this node a worker.

    Args:
        leader_addr: the leader's host:port as far as known now, "" if it is not.
        ask: asks there, and returns once it is done; raises `Unavailable` where asking again may
            help, also when this node has led itself and has just handed over.
        patience_s: how long no leader may be known; 0 to ask once at most.

    Raises:
        NotLeader: no leader is known.
        Unavailable: none has done it in time.
        ClusterError: it is refused.
    """
    loop = asyncio.get_running_loop()
    known_s = loop.time()
    try:
        async with asyncio.timeout(2 * DEMOTION_TIMEOUT_S):
            while True:
                addr = leader_addr()
                if addr:
                    try:
                        await ask(addr)
                    except Unavailable as error:
                        if not patience_s:
                            raise
                        log.info("not released yet", error=str(error))
                        known_s = loop.time()
                    else:
                        return
                elif loop.time() - known_s >= patience_s:
                    raise NotLeader(NO_LEADER)
                await asyncio.sleep(RETRY_S)
    except TimeoutError as error:
        raise Unavailable("the other managers do not let this one go in time") from error


def _wish_worker(tx: Transaction, node_id: NodeId) -> None:
    found = tx.state.node(node_id)
    if found is None:
        raise NotFound(f"node {node_id} not found")
    before = tx.state
    spec = msgspec.structs.replace(found.spec, role="worker")
    tx.update(msgspec.structs.replace(found, spec=spec))
    author = Author(name=f"node {found.hostname or found.id}", node_id=found.id)
    record(tx, before, author, "cluster leave")


def _is_released(state: ClusterState, node_id: NodeId) -> bool:
    node = state.node(node_id)
    return node is None or _is_worker(node)


def _is_worker(node: Node) -> bool:
    return node.role == "worker" and node.manager_status is None
