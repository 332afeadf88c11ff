"""Nodes as the dispatcher sees them, over virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from cluster.ca.identity import NodeIdentity
from cluster.dispatcher.service import (
    Dispatcher,
)
from cluster.model.cluster import Cluster, ClusterSpec, RootCa
from cluster.model.ids import ClusterId, NodeId, ServiceId, TaskId, id_from_int
from cluster.model.meta import Meta
from cluster.model.node import Node, NodeDescription, NodeStatus
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import Timestamp
from cluster.rpc.messages import (
    AcknowledgeViewRequest,
    AssignmentsRequest,
    GoodbyeRequest,
    HeartbeatRequest,
    SessionMessage,
    SessionRequest,
    TaskStatusUpdate,
    UpdateTaskStatusRequest,
)
from tests.support.memory_store import MemoryStore
from tests.support.virtual_time import VirtualClock, run_virtual

CLUSTER = Cluster(
    id=ClusterId("c1"),
    meta=Meta(),
    spec=ClusterSpec(),
    root_ca=RootCa(cert_pem="", key_pem=""),
    worker_token="",
    manager_token="",
)


def node(name: str, state="unknown", **fields) -> Node:
    return Node(id=NodeId(name), meta=Meta(), status=NodeStatus(state=state), **fields)


def task(name: str, node_id: str = "w1", state=TaskState.ASSIGNED, desired=TaskState.RUNNING):
    return Task(
        id=TaskId(name),
        meta=Meta(),
        service_id=ServiceId("web"),
        service_name="web",
        node_id=NodeId(node_id),
        spec=TaskSpec(),
        desired_state=desired,
        status=TaskStatus(state=state),
    )


class Peer:
    """A node as the dispatcher sees it."""

    def __init__(self, dispatcher: Dispatcher, name: str) -> None:
        self.dispatcher = dispatcher
        self.caller = NodeIdentity(
            node_id=NodeId(name),
            role="worker",
            cluster_id=CLUSTER.id,
            not_before=Timestamp(0),
            not_after=Timestamp(0),
        )
        self.session_id = ""

    def open(self, addr: str = "10.0.0.5"):
        request = SessionRequest(
            description=NodeDescription(hostname=f"host-{self.caller.node_id}"), addr=addr
        )
        return self.dispatcher.session(self.caller, request)

    async def register(self) -> SessionMessage:
        """Open a session and let its stream break at once."""
        async with aclosing(self.open()) as stream:
            message = await anext(stream)
        self.session_id = message.session_id
        return message

    async def beat(self) -> int:
        request = HeartbeatRequest(session_id=self.session_id)
        return (await self.dispatcher.heartbeat(self.caller, request)).period_ns

    def assignments(self):
        request = AssignmentsRequest(session_id=self.session_id)
        return self.dispatcher.assignments(self.caller, request)

    async def report(self, name: str, state: TaskState) -> None:
        update = TaskStatusUpdate(task_id=TaskId(name), status=TaskStatus(state=state))
        request = UpdateTaskStatusRequest(session_id=self.session_id, updates=(update,))
        await self.dispatcher.update_task_status(self.caller, request)

    async def applied(self, revision: int) -> None:
        request = AcknowledgeViewRequest(session_id=self.session_id, revision=revision)
        await self.dispatcher.acknowledge_view(self.caller, request)

    async def goodbye(self) -> None:
        request = GoodbyeRequest(session_id=self.session_id)
        await self.dispatcher.goodbye(self.caller, request)


def new_dispatcher(store: MemoryStore, clock) -> Dispatcher:
    dice = random.Random(7)
    return Dispatcher(
        store, clock=clock, rng=dice, new_id=lambda: id_from_int(dice.getrandbits(129))
    )


def leading(*objects):
    """Run a test's coroutine in virtual time while a dispatcher leads over `objects`."""

    def decorate(test: Callable[[MemoryStore, Dispatcher], Awaitable[None]]):
        def run() -> None:
            async def main() -> None:
                store = MemoryStore(CLUSTER, *objects, clock=VirtualClock())
                dispatcher = new_dispatcher(store, VirtualClock())
                async with asyncio.TaskGroup() as group:
                    duty = group.create_task(dispatcher.run())
                    await asyncio.sleep(0.001)
                    await test(store, dispatcher)
                    duty.cancel()

            run_virtual(main())

        run.__name__ = test.__name__
        return run

    return decorate


def status(store: MemoryStore, name: str) -> tuple[str, str]:
    found = store.view().node(NodeId(name)).status
    return found.state, found.message
