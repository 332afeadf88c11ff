"""Reports of nodes become few store updates, and only moves that are allowed."""

from __future__ import annotations

import asyncio

import pytest

from cluster.dispatcher.status_writer import StatusWriter
from cluster.errors import NotLeader
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import TaskSpec
from cluster.model.task import ContainerStatus, Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import TaskStatusUpdate
from tests.support.memory_store import MemoryStore
from tests.support.virtual_time import run_virtual

S = TaskState


def task(name: str, state: TaskState) -> Task:
    return Task(
        id=TaskId(name),
        meta=Meta(),
        service_id=ServiceId("web"),
        service_name="web",
        node_id=NodeId("n1"),
        spec=TaskSpec(),
        status=TaskStatus(state=state),
    )


def report(name: str, state: TaskState, message: str = "", container: str = "") -> TaskStatusUpdate:
    status = TaskStatus(
        state=state,
        message=message,
        container=ContainerStatus(container_id=container) if container else None,
    )
    return TaskStatusUpdate(task_id=TaskId(name), status=status)


def written(store: MemoryStore, *reports: TaskStatusUpdate) -> MemoryStore:
    async def main() -> None:
        writer = StatusWriter(store)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(writer.run())
            await writer.write(reports)
            running.cancel()

    run_virtual(main())
    return store


@pytest.mark.parametrize(
    ("old", "new", "is_applied"),
    [
        (S.ASSIGNED, S.ACCEPTED, True),
        (S.ASSIGNED, S.RUNNING, True),
        (S.RUNNING, S.COMPLETE, True),
        (S.RUNNING, S.STARTING, False),  # overtaken by a later report
        (S.FAILED, S.SHUTDOWN, False),  # ended for good
        (S.ORPHANED, S.SHUTDOWN, False),
        (S.RUNNING, S.ORPHANED, False),  # not an agent's to say
        (S.PENDING, S.RUNNING, False),
    ],
)
def test_only_an_agents_moves_are_applied(old, new, is_applied) -> None:
    store = written(MemoryStore(task("a", old)), report("a", new))
    assert store.view().task(TaskId("a")).status.state == (new if is_applied else old)


def test_a_report_of_the_same_state_may_say_more() -> None:
    store = written(MemoryStore(task("a", S.RUNNING)), report("a", S.RUNNING, "healthy", "c1"))
    status = store.view().task(TaskId("a")).status
    assert (status.message, status.container.container_id) == ("healthy", "c1")


def test_an_unknown_task_is_passed_over() -> None:
    store = written(
        MemoryStore(task("a", S.ASSIGNED)), report("gone", S.RUNNING), report("a", S.RUNNING)
    )
    assert store.view().task(TaskId("a")).status.state == S.RUNNING
    assert store.view().task(TaskId("gone")) is None


def test_what_comes_in_during_a_write_is_written_together() -> None:
    store = MemoryStore(*(task(f"t{i}", S.ASSIGNED) for i in range(50)))

    async def main() -> None:
        writer = StatusWriter(store)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(writer.run())
            store.hold()
            reports = [
                group.create_task(writer.write([report(f"t{i}", S.RUNNING)])) for i in range(25)
            ]
            await asyncio.sleep(1)
            reports += [
                group.create_task(writer.write([report(f"t{i}", S.RUNNING)])) for i in range(25, 50)
            ]
            await asyncio.sleep(1)
            assert not any(r.done() for r in reports)
            store.release()
            await asyncio.wait(reports)
            running.cancel()

    before = store.entries
    run_virtual(main())
    assert store.entries - before == 2
    assert store.view().tasks.count("state", "RUNNING") == 50


def test_lost_leadership_fails_those_who_wait_and_those_who_come() -> None:
    store = MemoryStore(task("a", S.ASSIGNED))
    store.is_leader = False

    async def main() -> None:
        writer = StatusWriter(store)
        async with asyncio.TaskGroup() as group:
            group.create_task(refused(writer))
            await asyncio.sleep(1)
            with pytest.raises(NotLeader):
                await writer.run()
        await refused(writer)

    run_virtual(main())


def test_the_end_of_the_duty_fails_those_who_wait() -> None:
    store = MemoryStore(task("a", S.ASSIGNED))

    async def main() -> None:
        writer = StatusWriter(store)
        store.hold()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(writer.run())
            waiting = group.create_task(refused(writer))
            await asyncio.sleep(1)
            running.cancel()
            await waiting

    run_virtual(main())


async def refused(writer: StatusWriter) -> None:
    with pytest.raises(NotLeader):
        await writer.write([report("a", S.RUNNING)])
