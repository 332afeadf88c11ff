"""A cluster without engines, in two processes: a manager, and any number of agents.

All between an API request and the executor is real: HTTP, store, Raft log on disk, reconcilers,
dispatcher, gRPC over mutual TLS, joining, agents.  Only containers are not; see `idle_executor`.

    python -m tests.support.idle_cluster manager FOLDER PORT
    python -m tests.support.idle_cluster agents FOLDER PORT NUMBER [FIRST]

FIRST numbers the agents of several such processes.  Each prints one line when it is ready and ends when its standard input does.  The API is served on
FOLDER/api.sock.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.session import Session
from cluster.agent.worker import Worker
from cluster.api.local_node import (
    LAST_MANAGER_LEAVES,
    InitRequest,
    JoinRequest,
    LocalNodeInfo,
    LogSource,
    RemoteManager,
)
from cluster.api.server import ApiServer
from cluster.ca.credentials import NodeCredentials
from cluster.ca.node_lock import NodeLock
from cluster.clock import SystemClock
from cluster.daemon.founding import ask_to_join, found_cluster
from cluster.daemon.log_setup import set_up_logs
from cluster.daemon.main import SWITCH_INTERVAL_S
from cluster.daemon.manager_role import ManagerRole
from cluster.daemon.process import new_id
from cluster.daemon.state_dir import Membership
from cluster.errors import FailedPrecondition, NotFound, Unavailable
from cluster.model.attachment import PlainPlace
from cluster.model.cluster import ClusterSpec
from cluster.model.diagnosis import Finding
from cluster.model.ids import NodeId, TaskId
from cluster.model.node import Node
from cluster.replication.bootstrap import create_cluster
from cluster.rpc.channel import NodeChannel
from cluster.rpc.messages import ForwardPart, ForwardRequest
from cluster.store.interface import ClusterStore
from tests.support.fake_networks import no_networks
from tests.support.idle_executor import IdleExecutor
from tests.support.local_states import local_state

HOST = "127.0.0.1"
JOINING_AT_ONCE = 8


class LoneManager:
    """A manager without a worker's part; implements the API's port `LocalNode`."""

    def __init__(self, membership: Membership, role: ManagerRole) -> None:
        self._membership = membership
        self._role = role

    def info(self) -> LocalNodeInfo:
        own = self._membership
        return LocalNodeInfo(
            node_id=own.node_id,
            addr=HOST,
            local_state="active",
            control_available=True,
            remote_managers=(RemoteManager(node_id=own.node_id, addr=own.managers[0]),),
        )

    def leader_id(self) -> NodeId | None:
        return self._membership.node_id

    def store(self) -> ClusterStore:
        return self._role.store

    def replica(self) -> ClusterStore:
        return self._role.store

    async def ensure_current(self) -> None:
        pass

    async def wait_leader(self) -> bool:
        return True

    def forward(self, request: ForwardRequest) -> AsyncGenerator[ForwardPart, None]:
        raise AssertionError("the only manager leads")

    def check_demotion(self, node: Node) -> None:
        pass

    async def diagnose(self) -> tuple[Finding, ...]:
        return ()

    async def attach(self, network: str, address: str) -> PlainPlace:
        del address
        raise NotFound(f"network {network} not found")

    async def release(self, attachment_id: TaskId) -> None:
        raise NotImplementedError(attachment_id)

    def made(self, attachment_id: TaskId) -> None:
        raise NotImplementedError(attachment_id)

    def network_name(self, text: str) -> str | None:
        del text
        return None

    def leave_warning(self) -> str:
        return LAST_MANAGER_LEAVES

    def logs(self) -> LogSource:
        return self._role.logs

    async def init(self, request: InitRequest) -> NodeId:
        raise FailedPrecondition("this node is a manager for good")

    async def join(self, request: JoinRequest) -> None:
        raise FailedPrecondition("this node is a manager for good")

    async def leave(self, *, force: bool) -> None:
        raise FailedPrecondition("this node is a manager for good")


async def _nowhere() -> None:
    """Keep credentials in memory only."""


async def manage(folder: Path, port: int) -> None:
    """Be the manager until standard input ends."""
    clock = SystemClock()
    addr = f"{HOST}:{port}"
    membership, credentials, initial = found_cluster(
        InitRequest(spec=ClusterSpec(name="default"), availability="drain"),
        listen_addr=addr,
        advertise_host=HOST,
        advertise_addr=addr,
        clock=clock,
        new_id=new_id,
    )
    create_cluster(folder / "raft", initial)
    role = ManagerRole(
        membership=membership,
        raft_dir=folder / "raft",
        credentials=credentials,
        api_socket=folder / "api.sock",
        clock=clock,
        rng=random.Random(),
        new_id=new_id,
        lock=NodeLock(folder),
        save_credentials=_nowhere,
    )
    node = LoneManager(membership, role)
    api = ApiServer(node, engine_socket=folder / "no-engine.sock", clock=clock, new_id=new_id)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(role.run())
        await role.listening.wait()
        await role.store.wait_leader()
        cluster = role.store.view().cluster
        assert cluster is not None
        (folder / "worker-token").write_text(cluster.worker_token)
        async with api.serving(folder / "api.sock"):
            await _until_told("managing")
        running.cancel()


async def work(folder: Path, port: int, number: int, first: int) -> None:
    """Be some agents until standard input ends."""
    token = (folder / "worker-token").read_text()
    seats = asyncio.Semaphore(JOINING_AT_ONCE)
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        agents = [
            IdleAgent(folder, f"{HOST}:{port}", index) for index in range(first, first + number)
        ]

        async def join(agent: IdleAgent) -> None:
            async with seats:
                await agent.join(token)
                running.append(group.create_task(agent.run()))
                await agent.registered.wait()

        running: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as joining:
            for agent in agents:
                joining.create_task(join(agent))
        gc.freeze()
        await _until_told("working")
        for task in running:
            task.cancel()


class IdleAgent:
    """A worker node without an engine."""

    def __init__(self, folder: Path, manager: str, index: int) -> None:
        self.registered = asyncio.Event()
        self._manager = manager
        self._executor = IdleExecutor(f"idle{index:04}")
        self._files = AttachedFiles()
        self._tasks_dir = folder / f"agent{index:04}"
        self._tasks_dir.mkdir()
        self._credentials: NodeCredentials | None = None

    async def join(self, token: str) -> None:
        """Become a member of the manager's cluster; ask again while it has too much to do."""
        while self._credentials is None:
            with contextlib.suppress(Unavailable):
                _, self._credentials = await ask_to_join(
                    remote_addrs=(self._manager,),
                    token=token,
                    availability="active",
                    listen_addr="",
                    advertise_host=HOST,
                    manager_addr="",
                )

    async def run(self) -> None:
        """Keep a session and run tasks until cancelled."""
        memory = local_state(self._tasks_dir)
        worker = Worker(self._executor, memory, SystemClock(), self._files, no_networks())
        session = Session(
            worker,
            self._connect,
            self._executor,
            SystemClock(),
            random.Random(),
            seeds=(self._manager,),
            addr=HOST,
            manager_addr="",
            on_message=lambda _: self.registered.set(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            group.create_task(session.run())

    def _connect(self, addr: str) -> NodeChannel:
        assert self._credentials is not None
        return NodeChannel(addr, self._credentials, for_session=True)


async def _until_told(ready: str) -> None:
    """Say that this process is ready, and wait until its standard input ends."""
    sys.stdout.write(ready + "\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if sys.stdin.read(1) else ended.set())
    await ended.wait()


def main() -> None:
    """Be what the command line says."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # as the daemon does
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    set_up_logs("error")
    match sys.argv[1:]:
        case ["manager", folder, port]:
            asyncio.run(manage(Path(folder), int(port)))
        case ["agents", folder, port, number, *first]:
            asyncio.run(work(Path(folder), int(port), int(number), *map(int, first or ["0"])))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
