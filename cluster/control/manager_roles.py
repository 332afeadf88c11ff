"""What has to happen so that the consensus group holds exactly the managers that users want.

A node's spec says which role it shall have; its `role` says what the CA certifies, and
`manager_status` its place in the group. Getting from one to the other takes several steps, each
of which is only decided on when the one before is done, from nothing but the present state: so a
new leader goes on where the last one stopped.

    promote   role and raft ID in the store -> learner -> voter once it has caught up
    demote    (leadership goes elsewhere) -> out of the group -> role in the store
"""

from __future__ import annotations

import msgspec

from cluster.model.ids import NodeId
from cluster.model.node import Node
from cluster.model.spec_struct import ObjectStruct
from cluster.raft.entry import ConfState
from cluster.raft.quorum import LOSS_OF_QUORUM, majority
from cluster.store.state import ClusterState

LAST_MANAGER = "attempting to demote the last manager of the swarm"


class Group(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """The consensus group as its leader sees it.

    Attributes:
        own_id: the leader's raft ID.
        conf: the members.
        reachable: those that were heard of lately.
        caught_up: learners that could vote at once.
    """

    own_id: int
    conf: ConfState
    reachable: frozenset[int] = frozenset()
    caught_up: frozenset[int] = frozenset()


class BecomeManager(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Give a node the role, a raft ID and with it the right to a manager's certificate."""

    node_id: NodeId


class BecomeWorker(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Take the role from a node that is no member of the group."""

    node_id: NodeId


class Move(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Write down a manager's new address."""

    node_id: NodeId


class ChangeMembers(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Change the group."""

    conf: ConfState


class HandOver(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Let another member lead, because this one is to be demoted."""

    to: int


class Wait(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Nothing can be done now, but there is something to do; `reason` says what for."""

    reason: str


Step = BecomeManager | BecomeWorker | Move | ChangeMembers | HandOver | Wait


def next_step(state: ClusterState, group: Group) -> Step | None:
    """Return the next step, None when everything is as it should be.

    Steps are looked for in the order of the nodes' IDs; one that has to wait does not hold up
    those of other nodes.
    """
    waiting: Wait | None = None
    for node in sorted(state.nodes, key=lambda node: node.id):
        step = _step_for(node, group)
        if isinstance(step, Wait):
            waiting = waiting or step
        elif step is not None:
            return step
    return _evict(state, group) or waiting


def quorum_refusal(group: Group, raft_id: int) -> str | None:
    """Say why a member must not be removed, None when it may.

    Those that remain must be able to go on: a majority of them has to be reachable.
    """
    if raft_id not in group.conf.voters:
        return None
    rest = [voter for voter in group.conf.voters if voter != raft_id]
    if not rest:
        return LAST_MANAGER
    if sum(1 for voter in rest if voter in group.reachable) < majority(len(rest)):
        return LOSS_OF_QUORUM
    return None


def _step_for(node: Node, group: Group) -> Step | None:
    status = node.manager_status
    if node.spec.role == "worker":
        return _demotion(node, group) if node.role == "manager" or status else None
    if node.role == "worker" or status is None:
        if node.manager_addr:
            return BecomeManager(node_id=node.id)
        return Wait(reason=f"node {node.id} has not said yet where it is reached as a manager")
    if node.manager_addr and node.manager_addr != status.addr:
        return Move(node_id=node.id)
    conf = group.conf
    if status.raft_id not in conf.members:
        learners = tuple(sorted((*conf.learners, status.raft_id)))
        return ChangeMembers(conf=msgspec.structs.replace(conf, learners=learners))
    if status.raft_id in conf.learners:
        if status.raft_id not in group.caught_up:
            return Wait(reason=f"raft member {status.raft_id} has not caught up yet")
        voters = tuple(sorted((*conf.voters, status.raft_id)))
        learners = tuple(one for one in conf.learners if one != status.raft_id)
        return ChangeMembers(conf=ConfState(voters, learners))
    return None


def _demotion(node: Node, group: Group) -> Step:
    status = node.manager_status
    if status is None or status.raft_id not in group.conf.members:
        return BecomeWorker(node_id=node.id)
    refusal = quorum_refusal(group, status.raft_id)
    if refusal is not None:
        return Wait(reason=f"node {node.id}: {refusal}")
    if status.raft_id == group.own_id:
        heirs = (voter for voter in group.conf.voters if voter != group.own_id)
        return HandOver(to=next(heir for heir in heirs if heir in group.reachable))
    return ChangeMembers(conf=_without(group.conf, status.raft_id))


def _evict(state: ClusterState, group: Group) -> Step | None:
    """Remove a member that no node stands for any more."""
    known = {node.manager_status.raft_id for node in state.nodes if node.manager_status}
    for raft_id in group.conf.members:
        if raft_id not in known and raft_id != group.own_id:
            refusal = quorum_refusal(group, raft_id)
            if refusal is not None:
                return Wait(reason=f"raft member {raft_id}, which is no node: {refusal}")
            return ChangeMembers(conf=_without(group.conf, raft_id))
    return None


def _without(conf: ConfState, raft_id: int) -> ConfState:
    return ConfState(
        tuple(one for one in conf.voters if one != raft_id),
        tuple(one for one in conf.learners if one != raft_id),
    )
