import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import msgspec
import pytest

from cluster.control.controller import Controller
from cluster.errors import NotLeader
from cluster.model.ids import NewId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import ReplicatedMode, Service, ServiceMode, ServiceSpec, TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, Timestamp
from cluster.orchestrator.replicated_services import ReplicatedServices
from cluster.store.change import Change
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState
from tests.support.manual_clock import ManualClock
from tests.support.memory_store import MemoryStore


class MakesOneTask:
    """Gives every service one task."""

    name = "makes one task"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        if isinstance(change.item, Service):
            yield change.item.id

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        return [service.id for service in state.services]

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        if state.tasks_of_service(ServiceId(key)):
            return NOTHING
        task = Task(
            id=TaskId(new_id()),
            meta=Meta(),
            service_id=ServiceId(key),
            service_name="web",
            spec=TaskSpec(),
        )
        return Plan(create=(task,))


class MovesOn:
    """Moves new tasks to pending."""

    name = "moves on"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        if isinstance(change.item, Task):
            yield change.item.id

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        return []

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        task = state.task(TaskId(key))
        if task is None or task.status.state != TaskState.NEW:
            return NOTHING
        status = TaskStatus(state=TaskState.PENDING, timestamp=now)
        return Plan(update=(msgspec.structs.replace(task, status=status),))


class Breaks:
    """Fails on the service of one name, works on others, and wakes once later."""

    name = "breaks"

    def __init__(self, broken: str) -> None:
        self.broken = broken
        self.seen: list[str] = []

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        if isinstance(change.item, Service):
            yield change.item.spec.name

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        return [service.spec.name for service in state.services]

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        self.seen.append(key)
        if key == self.broken:
            raise ValueError("our own bug")
        return NOTHING


def service(name: str) -> Service:
    return Service(
        id=ServiceId(f"id-{name}"), meta=Meta(), spec=ServiceSpec(name=name), spec_version=1
    )


@asynccontextmanager
async def running(controller: Controller) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(controller.run())
        yield
        task.cancel()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def ids() -> NewId:
    numbers = itertools.count(1)
    return lambda: f"t{next(numbers)}"


async def test_decisions_of_several_reconcilers_become_one_entry() -> None:
    store = MemoryStore()
    async with running(Controller(store, [MakesOneTask(), MovesOn()], store.clock, ids())):
        await settle()
        await store.update(lambda tx: tx.create(service("web")))
        await settle()
        (task,) = store.view().tasks
        assert task.status.state == TaskState.PENDING
        assert store.entries == 2  # the service; the task, made and moved on


async def test_a_plan_that_is_made_in_parts_is_finished_without_further_changes() -> None:
    mode = ServiceMode(replicated=ReplicatedMode(replicas=1700))
    web = msgspec.structs.replace(service("web"), spec=ServiceSpec(name="web", mode=mode))
    store = MemoryStore(web)
    async with running(Controller(store, [ReplicatedServices()], store.clock, ids())):
        await settle()
    assert len(store.view().tasks_of_service(web.id)) == 1700


async def test_a_new_leader_looks_at_everything_once() -> None:
    store = MemoryStore(service("a"), service("b"))
    async with running(Controller(store, [MakesOneTask()], store.clock, ids())):
        await settle()
        assert len(store.view().tasks) == 2


async def test_one_broken_object_does_not_stop_the_care_of_others() -> None:
    store = MemoryStore(service("bad"), service("good"))
    reconciler = Breaks("bad")
    async with running(Controller(store, [reconciler], store.clock, ids())):
        await settle()
        assert reconciler.seen == ["bad", "good"]
        await store.update(lambda tx: tx.create(service("later")))
        await settle()
        assert reconciler.seen[-1] == "later"


async def test_a_plan_that_cannot_be_carried_out_lets_only_its_own_key_wait() -> None:
    class DeletesWhatIsNotThere:
        name = "deletes what is not there"

        def __init__(self) -> None:
            self.tries = 0

        def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
            return []

        def all_keys(self, state: ClusterState) -> Iterable[str]:
            return ["bad"]

        def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
            self.tries += 1
            return Plan(delete=(service("nobody"),))

    store = MemoryStore(service("a"), service("b"))
    broken = DeletesWhatIsNotThere()
    async with running(Controller(store, [MakesOneTask(), broken], store.clock, ids())):
        await settle()
        assert len(store.view().tasks) == 2
        assert broken.tries == 2  # once among others, once alone; then it waits


async def test_a_reconciler_that_fails_on_a_change_stops_nobody() -> None:
    class TripsOverChanges(MovesOn):
        def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
            raise ValueError("our own bug")

    store = MemoryStore()
    async with running(Controller(store, [TripsOverChanges(), MakesOneTask()], store.clock, ids())):
        await settle()
        await store.update(lambda tx: tx.create(service("web")))
        await settle()
        assert len(store.view().tasks) == 1


async def test_lost_leadership_ends_the_controller() -> None:
    store = MemoryStore(service("web"))
    store.is_leader = False
    with pytest.RaisesGroup(NotLeader, flatten_subgroups=True):
        await Controller(store, [MakesOneTask()], store.clock, ids()).run()


async def test_waiting_is_kept_in_the_queue_until_its_time() -> None:
    clock = ManualClock()

    class WakesLater:
        name = "wakes later"

        def __init__(self) -> None:
            self.times: list[Timestamp] = []

        def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
            return []

        def all_keys(self, state: ClusterState) -> Iterable[str]:
            return ["key"]

        def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
            self.times.append(now)
            return (
                Plan(wake_at=Timestamp(now + SECOND_NS // 100)) if len(self.times) == 1 else NOTHING
            )

    reconciler = WakesLater()
    store = MemoryStore(clock=clock)
    async with running(Controller(store, [reconciler], clock, ids())):
        await settle()
        assert len(reconciler.times) == 1
        clock.advance(1.0)
        async with asyncio.timeout(5):
            while len(reconciler.times) < 2:
                await asyncio.sleep(0.005)


async def test_who_wants_to_go_on_at_once_without_any_change_stops_nobody() -> None:
    class NeverEnds:
        name = "never ends"

        def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
            return []

        def all_keys(self, state: ClusterState) -> Iterable[str]:
            return ["key"]

        def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
            return Plan(wake_at=now)

    store = MemoryStore(service("a"))
    async with running(Controller(store, [NeverEnds(), MakesOneTask()], store.clock, ids())):
        await settle()
        assert len(store.view().tasks) == 1
