import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from cluster.api.local_node import InitRequest, JoinRequest, RestoreRequest
from cluster.ca.node_lock import NodeLock, new_unlock_key
from cluster.daemon.config import DaemonConfig
from cluster.daemon.member import Member
from cluster.daemon.process import NodeProcess
from cluster.daemon.state_dir import Membership, StateDir
from cluster.errors import FailedPrecondition, NotManager, Unauthenticated, Unavailable
from cluster.model.ids import ClusterId, NodeId

MEMBERSHIP = Membership(
    node_id=NodeId("n1"),
    cluster_id=ClusterId("c1"),
    role="worker",
    listen_addr="0.0.0.0:2377",
    advertise_addr="10.0.0.2",
    managers=("10.0.0.1:2377",),
)


class FailingMember:
    """Ends with an error the first time; later ones run on."""

    lives = 0

    def __init__(self) -> None:
        FailingMember.lives += 1
        self.number = FailingMember.lives
        self.membership = MEMBERSHIP
        self.manager = None
        self.worker = SimpleNamespace(managers=())

    async def run(self) -> None:
        if self.number == 1:
            raise ExceptionGroup("roles", [FailedPrecondition("the engine is out of its mind")])
        await asyncio.Event().wait()


class Node(NodeProcess):
    def _new_member(self, membership: Membership) -> Member:
        member: Any = FailingMember()
        return member


async def test_roles_that_fail_start_again_and_the_node_says_so(tmp_path: Path) -> None:
    FailingMember.lives = 0
    state_dir = tmp_path / "state"
    with StateDir(state_dir).lock():
        StateDir(state_dir).save(MEMBERSHIP)
    config = DaemonConfig(
        state_dir=state_dir, socket=tmp_path / "run" / "s.sock", engine_socket=tmp_path / "none"
    )
    node, stop, seen = Node(config), asyncio.Event(), set()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(node.run(stop))
        while FailingMember.lives < 2 or node.info().local_state != "active":
            info = node.info()
            seen.add((info.local_state, info.error))
            await asyncio.sleep(0.01)
        stop.set()
    assert ("error", "the engine is out of its mind") in seen
    assert (tmp_path / "run").is_dir()  # made for the socket


async def test_a_node_that_is_in_no_cluster_cannot_leave(tmp_path: Path) -> None:
    state_dir = StateDir(tmp_path)
    node = NodeProcess(
        DaemonConfig(state_dir=tmp_path, socket=tmp_path / "s.sock", engine_socket=tmp_path / "no")
    )
    with pytest.raises(Unavailable):
        await node.leave(force=True)
    assert state_dir.load() is None
    assert node.info().local_state == "inactive"


async def test_a_locked_manager_keeps_its_state_whatever_it_is_asked(tmp_path: Path) -> None:
    unlock_key = new_unlock_key()
    state = StateDir(tmp_path / "state")
    with state.lock():
        state.save(msgspec.structs.replace(MEMBERSHIP, role="manager", raft_id=1))
        lock = NodeLock(state.root)
        lock.begin(unlock_key)
        lock.complete()
        state.raft.mkdir()
        (state.raft / "kept").touch()
    config = DaemonConfig(
        state_dir=state.root, socket=tmp_path / "s.sock", engine_socket=tmp_path / "none"
    )
    node, stop = NodeProcess(config), asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(node.run(stop))
        while node.info().local_state != "locked":
            await asyncio.sleep(0.01)
        for asked in (
            node.init(InitRequest(force_new_cluster=True)),
            node.join(JoinRequest(remote_addrs=("10.0.0.1",), join_token="t")),
            node.leave(force=False),
            node.restore(RestoreRequest(passphrase="p"), b""),
        ):
            with pytest.raises(Unavailable):
                await asked
        with pytest.raises(Unauthenticated):
            await node.unlock(new_unlock_key())
        with pytest.raises(NotManager, match="needs to be unlocked"):
            node.store()
        assert (state.raft / "kept").exists()
        assert node.info().local_state == "locked"
        await node.leave(force=True)
        assert node.info().local_state == "inactive"
        assert not state.raft.exists()
        assert not NodeLock(state.root).is_there
        stop.set()
