"""Whoever leaves is made a worker first: the node's side, and the leader's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from cluster.api.commands.nodes import remove_node
from cluster.ca.issuer import next_raft_id
from cluster.control.manager_roles import quorum_refusal
from cluster.control.role_manager import RoleManager, view_of
from cluster.daemon import resigning
from cluster.daemon.resigning import Releases, resign
from cluster.errors import FailedPrecondition, NotLeader, Unavailable
from cluster.model.node import ManagerStatus, Node
from cluster.raft.entry import ConfState
from cluster.rpc.messages import LeaveRequest
from tests.support.builders import make_cluster, make_node
from tests.support.identities import credentials
from tests.support.memory_store import MemoryStore

LEADER, LEAVER = 1, 2


class Group:
    """The consensus group as the leader sees it; who leaves has not heard of it."""

    def __init__(self, conf: ConfState) -> None:
        self.raft_id = LEADER
        self.conf = conf

    def reachable(self) -> frozenset[int]:
        return frozenset(self.conf.members)

    def caught_up(self) -> frozenset[int]:
        return frozenset()

    async def change_members(self, conf: ConfState) -> None:
        self.conf = conf

    def transfer_leadership(self, to: int) -> None:
        raise AssertionError(f"nobody asked for {to} to lead")


class Managers:
    """The leader of a group, with what lets nodes go."""

    def __init__(self, conf: ConfState, leaver: Node) -> None:
        leader = make_node("leader", role="manager")
        status = ManagerStatus(raft_id=LEADER, addr="10.0.0.1:2377")
        cluster = replace(make_cluster(), last_raft_id=LEAVER)
        self.store = MemoryStore(cluster, replace(leader, manager_status=status), leaver)
        self.group = Group(conf)
        self._releases = Releases(self.store, self._check_demotion)

    async def _check_demotion(self, node: Node) -> None:
        if node.manager_status is not None:
            refusal = quorum_refusal(view_of(self.group), node.manager_status.raft_id)
            if refusal is not None:
                raise FailedPrecondition(refusal)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        duty = RoleManager(self.store, self.group, next_raft_id)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(duty.run())
            yield
            running.cancel()

    async def release(self) -> None:
        await self._releases.release(credentials("leaver", "worker").identity, LeaveRequest())


def promoted(raft_id: int = LEAVER) -> Node:
    status = ManagerStatus(raft_id=raft_id, addr="10.0.0.2:2377")
    return replace(make_node("leaver", role="manager"), manager_status=status)


def wished() -> Node:
    """A worker that is to be promoted as soon as it has said where it is reached."""
    worker = make_node("leaver")
    return replace(worker, spec=replace(worker.spec, role="manager"))


@pytest.mark.parametrize(
    ("conf", "leaver"),
    [
        (ConfState((LEADER, LEAVER), ()), promoted()),
        (ConfState((LEADER,), (LEAVER,)), promoted()),
        (ConfState((LEADER,), ()), promoted()),
        (ConfState((LEADER,), ()), wished()),
        (ConfState((LEADER,), ()), make_node("leaver")),
    ],
    ids=["voter", "learner", "no member yet", "wish", "worker"],
)
async def test_whoever_leaves_can_be_removed_then_and_counts_for_nothing(
    conf: ConfState, leaver: Node
) -> None:
    managers = Managers(conf, leaver)
    async with managers.at_work():
        await managers.release()
        assert managers.group.conf == ConfState((LEADER,), ())
        node = managers.store.view().node(leaver.id)
        assert node is not None
        assert (node.spec.role, node.role, node.manager_status) == ("worker", "worker", None)
        [leader] = (one for one in managers.store.view().nodes if one.id != leaver.id)
        assert (leader.spec.role, leader.role) == ("manager", "manager"), "only who asks is let go"
        await managers.store.update(lambda tx: remove_node(tx, "leaver", force=True))


async def test_a_worker_that_leaves_costs_no_entry() -> None:
    managers = Managers(ConfState((LEADER,), ()), make_node("leaver"))
    before = managers.store.entries
    await managers.release()
    assert managers.store.entries == before


async def test_one_without_whom_the_others_cannot_go_on_is_not_let_go() -> None:
    managers = Managers(ConfState((LEAVER,), (LEADER,)), promoted())
    with pytest.raises(FailedPrecondition, match="last manager"):
        await managers.release()
    node = managers.store.view().node(promoted().id)
    assert node is not None
    assert node.spec.role == "manager"


async def test_a_follower_lets_nobody_go() -> None:
    managers = Managers(ConfState((LEADER, LEAVER), ()), promoted())
    managers.store.is_leader = False
    with pytest.raises(NotLeader):
        await managers.release()


class Asked:
    """Managers that are asked to let a node go: answers in turn, the last one for ever."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)
        self.addrs: list[str] = []

    async def __call__(self, addr: str) -> None:
        self.addrs.append(addr)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is not None:
            raise answer


async def test_the_next_leader_is_asked_when_leadership_moves() -> None:
    leaders = ["a:1", "", "b:1"]
    asked = Asked(Unavailable("it has handed over"), None)
    await resign(lambda: leaders.pop(0), asked, patience_s=60)
    assert asked.addrs == ["a:1", "b:1"]


async def test_a_refusal_is_final() -> None:
    asked = Asked(FailedPrecondition("loss of quorum"))
    with pytest.raises(FailedPrecondition):
        await resign(lambda: "a:1", asked, patience_s=60)
    assert asked.addrs == ["a:1"]


async def test_nobody_is_waited_for_longer_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resigning, "DEMOTION_TIMEOUT_S", 0.1)
    with pytest.raises(NotLeader):
        await resign(lambda: "", Asked(None), patience_s=0)
    with pytest.raises(Unavailable, match="it stands still"):
        await resign(lambda: "a:1", Asked(Unavailable("it stands still")), patience_s=0)
    with pytest.raises(Unavailable, match="in time"):
        await resign(lambda: "a:1", Asked(Unavailable("not yet")), patience_s=60)
