"""A worker on a real Docker Engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.worker import Worker
from cluster.clock import SystemClock
from cluster.executor.engine import Engine
from cluster.executor.engine_networks import EngineNetworks
from cluster.executor.executor import DockerExecutor
from cluster.model.config import Config
from cluster.model.container import (
    ContainerSpec,
)
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.ids import ClusterId, NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.secret import Secret
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import AssignmentsMessage
from tests.integration.conftest import RealEngine
from tests.support.fake_networks import no_networks
from tests.support.local_states import local_state

MARKS = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    # docker SDK leaves a socket that was refused to the garbage collector (unixconn.py, connect)
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]


S = TaskState
CLUSTER = ClusterId("testcluster")
SLEEP = ("sleep", "1000")
ONE = TaskId("task000000000000000000001")


def a_task(
    engine: RealEngine,
    task_id: TaskId = ONE,
    desired: TaskState = S.RUNNING,
    *,
    ports: tuple[PortConfig, ...] = (),
    **container: object,
) -> Task:
    settings = {"image": engine.image, "command": SLEEP, "stop_signal": "SIGKILL", **container}
    return Task(
        id=task_id,
        meta=Meta(),
        service_id=ServiceId("service"),
        service_name="web",
        slot=1,
        node_id=NodeId("node"),
        spec=TaskSpec(container_spec=ContainerSpec(**settings)),
        endpoint_spec=EndpointSpec(ports=ports),
        desired_state=desired,
        status=TaskStatus(state=S.ASSIGNED),
    )


class Node:
    """A worker on the engine."""

    def __init__(self, worker: Worker, executor: DockerExecutor) -> None:
        self.worker = worker
        self.executor = executor

    def assign(
        self, *tasks: Task, secrets: Sequence[Secret] = (), configs: Sequence[Config] = ()
    ) -> None:
        message = AssignmentsMessage(
            sequence=0,
            is_complete=True,
            tasks=tasks,
            secrets=tuple(secrets),
            configs=tuple(configs),
        )
        self.worker.apply(message)

    def status(self, task_id: TaskId = ONE) -> TaskStatus | None:
        return self.worker.reporter.newest.get(task_id)

    async def reaches(self, state: TaskState, task_id: TaskId = ONE) -> TaskStatus:
        """Wait for a state; one that cannot be reached any more fails at once."""
        await until(lambda: (s := self.status(task_id)) is not None and s.state >= state)
        status = self.status(task_id)
        assert status is not None
        assert status.state is state, status
        return status


async def until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_node(
    engine: RealEngine, folder: Path, forbidden: frozenset[str] = frozenset()
) -> AsyncIterator[Node]:
    """A node's agent; to leave the context is to have it killed."""
    async with Engine(engine.url) as client, asyncio.TaskGroup() as group:
        files, networks = AttachedFiles(), no_networks()
        made = EngineNetworks(client, CLUSTER)
        executor = DockerExecutor(
            client, CLUSTER, files, engine.shared / "files", networks, made, forbidden
        )
        worker = Worker(executor, local_state(folder), SystemClock(), files, networks)
        parts = [group.create_task(executor.run()), group.create_task(worker.run())]
        await asyncio.sleep(0)
        try:
            yield Node(worker, executor)
        finally:
            for part in parts:
                part.cancel()


async def ended(node: Node, task_id: TaskId = ONE) -> TaskStatus:
    await until(lambda: (s := node.status(task_id)) is not None and s.state.is_terminal)
    status = node.status(task_id)
    assert status is not None
    return status
