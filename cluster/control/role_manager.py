"""The duty that keeps the consensus group in step with the nodes' roles, step by step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from cluster.control.manager_roles import (
    BecomeManager,
    BecomeWorker,
    ChangeMembers,
    Group,
    HandOver,
    Move,
    Step,
    Wait,
    next_step,
)
from cluster.errors import FailedPrecondition, NotLeader
from cluster.model.ids import NodeId
from cluster.model.node import ManagerStatus
from cluster.raft.entry import ConfState
from cluster.store.interface import ClusterStore, Subscription
from cluster.store.transaction import Transaction

log = structlog.get_logger()

LOOK_AGAIN_S: Final = 0.1
"""How soon to look again while something waits: what it waits for shows in no change."""

IDLE_S: Final = 5.0
"""How often to look when nothing seems to be to do."""


class RaftGroup(Protocol):
    """What the duty must know of, and may do to, the consensus group."""

    @property
    def raft_id(self) -> int:
        """This manager's raft ID."""
        ...

    @property
    def conf(self) -> ConfState:
        """The members."""
        ...

    def reachable(self) -> frozenset[int]:
        """Return the members that were heard of lately."""
        ...

    def caught_up(self) -> frozenset[int]:
        """Return the learners that could vote at once."""
        ...

    async def change_members(self, conf: ConfState) -> None:
        """Change the group; raises `FailedPrecondition` when that can't be now."""
        ...

    def transfer_leadership(self, to: int) -> None:
        """Ask another member to lead; raises `FailedPrecondition` when it can't."""
        ...


def view_of(raft: RaftGroup) -> Group:
    """Return the group as it is now."""
    return Group(
        own_id=raft.raft_id,
        conf=raft.conf,
        reachable=raft.reachable(),
        caught_up=raft.caught_up(),
    )


class RoleManager:
    """Promotes and demotes, one step after the other."""

    def __init__(
        self, store: ClusterStore, raft: RaftGroup, new_raft_id: Callable[[Transaction], int]
    ) -> None:
        """Work on `store` and `raft`; `new_raft_id` takes an ID that was never given before."""
        self._store = store
        self._raft = raft
        self._new_raft_id = new_raft_id
        self._told = ""

    async def run(self) -> None:
        """Do the duty until cancelled; run only while this manager leads.

        Raises:
            NotLeader: this manager ceased to lead.
        """
        changed = asyncio.Event()
        async with self._store.subscribe() as feed, asyncio.TaskGroup() as group:
            group.create_task(_note(feed, changed))
            while True:
                changed.clear()
                pause_s = await self._advance()
                if pause_s:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await changed.wait()

    async def _advance(self) -> float:
        """Take the next step, if there is one; return how long to wait for a change."""
        step = next_step(self._store.view(), view_of(self._raft))
        if step is None:
            self._tell("")
            return IDLE_S
        if isinstance(step, Wait):
            self._tell(step.reason)
            return LOOK_AGAIN_S
        try:
            await self._take(step)
        except NotLeader:
            raise
        except FailedPrecondition as error:
            self._tell(str(error))
            return LOOK_AGAIN_S
        # A successor needs a moment to take over; everything else shows its effect at once.
        return LOOK_AGAIN_S if isinstance(step, HandOver) else 0.0

    async def _take(self, step: Step) -> None:
        match step:
            case BecomeManager(node_id=node_id):
                await self._store.update(lambda tx: _become_manager(tx, node_id, self._new_raft_id))
                log.info("node promoted", node=node_id)
            case BecomeWorker(node_id=node_id):
                await self._store.update(lambda tx: _become_worker(tx, node_id))
                log.info("node demoted", node=node_id)
            case Move(node_id=node_id):
                await self._store.update(lambda tx: _move(tx, node_id))
            case ChangeMembers(conf=conf):
                await self._raft.change_members(conf)
            case HandOver(to=to):
                log.info("leadership is handed over", to=to)
                self._raft.transfer_leadership(to)
            case Wait():
                pass

    def _tell(self, reason: str) -> None:
        """Log what is waited for, once."""
        if reason and reason != self._told:
            log.info("a role changes", waiting=reason)
        self._told = reason


async def _note(feed: Subscription, changed: asyncio.Event) -> None:
    async for _ in feed:
        changed.set()


def _become_manager(
    tx: Transaction, node_id: NodeId, new_raft_id: Callable[[Transaction], int]
) -> None:
    node = tx.state.node(node_id)
    if node is None or node.spec.role != "manager" or node.manager_status is not None:
        return
    status = ManagerStatus(raft_id=new_raft_id(tx), addr=node.manager_addr)
    tx.update(msgspec.structs.replace(node, role="manager", manager_status=status))


def _become_worker(tx: Transaction, node_id: NodeId) -> None:
    node = tx.state.node(node_id)
    if node is None or node.spec.role != "worker":
        return  # the wish changed meanwhile: the next look decides anew
    tx.update(msgspec.structs.replace(node, role="worker", manager_status=None))


def _move(tx: Transaction, node_id: NodeId) -> None:
    node = tx.state.node(node_id)
    if node is None or node.manager_status is None:
        return
    status = msgspec.structs.replace(node.manager_status, addr=node.manager_addr)
    tx.update(msgspec.structs.replace(node, manager_status=status))
