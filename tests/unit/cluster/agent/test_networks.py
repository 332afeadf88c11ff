"""The agent and its network process: views in order, containers that wait, tasks that drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from cluster.agent import networks as module
from cluster.agent.networks import Acknowledge, IsWanted, Networks
from cluster.errors import Unavailable
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import NetworkId, TaskId
from cluster.model.network_view import NetworkView, NodeView
from cluster.model.network_view_change import difference
from cluster.model.task import Task
from cluster.rpc.messages import AssignmentsMessage
from tests.support.builders import make_service, make_task
from tests.support.fake_networks import FakeNetworkProcess, nothing_to_tidy_up
from tests.support.virtual_time import run_virtual

FRONT = NetworkView(
    id=NetworkId("front"), name="front", vni=1, subnet="10.0.1.0/24", gateway="10.0.1.1"
)
EMPTY = NodeView(own_index=1, own_address="192.0.2.1", revision=3)
WITH_FRONT = replace(EMPTY, networks=(FRONT,), revision=4)


def task() -> Task:
    place = NetworkAttachment(network_id=NetworkId("front"), address="10.0.1.3/24")
    return replace(make_task("t", make_service("web"), node="a"), networks=(place,))


@asynccontextmanager
async def running(process: FakeNetworkProcess) -> AsyncIterator[Networks]:
    networks = Networks(process, nothing_to_tidy_up, retry_pause_s=0.01)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(networks.run())
        await asyncio.sleep(0)
        yield networks
        work.cancel()


def telling_of(told: asyncio.Queue[int]) -> Acknowledge:
    """Put each acknowledged revision into a queue."""

    async def tell(revision: int, _failed: tuple[NetworkId, ...]) -> None:
        await told.put(revision)

    return tell


async def test_a_container_waits_until_the_process_knows_its_network() -> None:
    process = FakeNetworkProcess()
    process.is_away = True
    async with running(process) as networks, asyncio.TaskGroup() as group:
        waiting = group.create_task(networks.until_known(task()))
        networks.take_view(difference(None, EMPTY))
        networks.take_view(difference(EMPTY, WITH_FRONT))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        process.is_away = False
        await waiting
        assert process.views[-1] == WITH_FRONT
        assert networks.network(NetworkId("front")) == FRONT


async def test_every_applied_view_is_acknowledged() -> None:
    told: asyncio.Queue[int] = asyncio.Queue()
    async with running(FakeNetworkProcess()) as networks, asyncio.TaskGroup() as group:
        telling = group.create_task(networks.acknowledge(telling_of(told)))
        networks.take_view(difference(None, EMPTY))
        assert await told.get() == 3
        networks.take_view(difference(EMPTY, WITH_FRONT))
        assert await told.get() == 4
        telling.cancel()


async def test_an_engine_that_hangs_holds_up_no_view() -> None:
    told: asyncio.Queue[int] = asyncio.Queue()
    calls = []

    async def hang(is_wanted: IsWanted) -> None:
        calls.append(is_wanted)
        await asyncio.Event().wait()

    networks = Networks(FakeNetworkProcess(), hang, retry_pause_s=0.01)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(networks.run())]
        tasks.append(group.create_task(networks.acknowledge(telling_of(told))))
        networks.take_view(difference(None, EMPTY))
        assert await told.get() == 3
        while not calls:
            await asyncio.sleep(0.001)
        networks.take_view(difference(EMPTY, WITH_FRONT))
        assert await told.get() == 4
        await asyncio.sleep(0.05)
        for one in tasks:
            one.cancel()
    (is_wanted,) = calls  # never two at once
    assert is_wanted(FRONT.id)  # what came since is asked for, too
    assert not is_wanted(NetworkId("another"))


async def test_a_network_that_failed_is_named_and_tried_until_it_is_there() -> None:
    told: asyncio.Queue[tuple[int, tuple[NetworkId, ...]]] = asyncio.Queue()

    async def tell(revision: int, failed: tuple[NetworkId, ...]) -> None:
        await told.put((revision, failed))

    process = FakeNetworkProcess()
    process.problems = {"front": "no names", "host": "no iptables"}
    networks = Networks(process, nothing_to_tidy_up, retry_pause_s=0.01, known_patience_s=0.1)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(networks.run())]
        tasks.append(group.create_task(networks.acknowledge(tell)))
        networks.take_view(difference(None, WITH_FRONT))
        assert await told.get() == (4, (FRONT.id,))
        with pytest.raises(Unavailable, match=r"network front is not as it should be .*: no names"):
            await networks.until_known(task())
        assert told.empty()
        process.problems = {"host": "no iptables"}
        assert await told.get() == (4, ())
        await networks.until_known(task())
        tries = len(process.views)
        await asyncio.sleep(0.05)
        assert len(process.views) == tries  # what concerns no network is the process's own matter
        for one in tasks:
            one.cancel()


async def test_what_an_earlier_life_applied_is_known_and_not_acknowledged() -> None:
    process = FakeNetworkProcess()
    process.views.append(WITH_FRONT)
    told: asyncio.Queue[int] = asyncio.Queue()
    async with running(process) as networks, asyncio.TaskGroup() as group:
        telling = group.create_task(networks.acknowledge(telling_of(told)))
        await networks.until_known(task())
        assert told.empty()
        telling.cancel()


async def test_a_node_without_process_acknowledges_at_once_what_it_need_not_do() -> None:
    process = FakeNetworkProcess(is_there=False)
    told: asyncio.Queue[int] = asyncio.Queue()
    async with running(process) as networks, asyncio.TaskGroup() as group:
        telling = group.create_task(networks.acknowledge(telling_of(told)))
        networks.take_view(difference(None, EMPTY))
        assert await told.get() == 3
        assert not process.views
        telling.cancel()


async def test_a_process_that_comes_later_gets_what_there_was_before() -> None:
    process = FakeNetworkProcess(is_there=False)
    async with running(process) as networks:
        networks.take_view(difference(None, EMPTY))
        await asyncio.sleep(0.03)
        process.has_socket = True
        await until_it_has(process, EMPTY)


async def test_a_process_that_starts_again_misses_no_view() -> None:
    process = FakeNetworkProcess()
    told: asyncio.Queue[int] = asyncio.Queue()
    async with running(process) as networks, asyncio.TaskGroup() as group:
        telling = group.create_task(networks.acknowledge(telling_of(told)))
        networks.take_view(difference(None, EMPTY))
        assert await told.get() == 3
        process.has_socket = False
        networks.take_view(difference(EMPTY, WITH_FRONT))
        await asyncio.sleep(0.03)
        assert told.empty()
        process.has_socket = True
        await until_it_has(process, WITH_FRONT)
        assert await told.get() == 4
        telling.cancel()


async def test_a_process_that_lost_its_view_gets_it_again() -> None:
    process = FakeNetworkProcess()
    async with running(process) as networks:
        networks.take_view(difference(None, EMPTY))
        await until_it_has(process, EMPTY)
        process.views.clear()
        process.has_ended.set()
        await until_it_has(process, EMPTY)


async def test_a_task_that_comes_before_its_process_waits_until_that_has_the_view() -> None:
    process = FakeNetworkProcess(is_there=False)
    async with running(process) as networks, asyncio.TaskGroup() as group:
        networks.take_view(difference(None, WITH_FRONT))
        waiting = group.create_task(networks.until_known(task()))
        await asyncio.sleep(0.03)
        process.has_socket = True
        await waiting
        assert process.views == [WITH_FRONT]


@pytest.mark.parametrize(
    ("change", "told", "said"),
    [
        ({"has_socket": False}, WITH_FRONT, "stack-netd does not run on this node"),
        ({"is_away": True}, WITH_FRONT, "stack-netd on this node does not take"),
        ({}, EMPTY, "no manager has told this node of network front yet"),
    ],
)
async def test_a_task_that_waits_too_long_for_its_networks_says_why(
    change: dict[str, bool], told: NodeView, said: str
) -> None:
    process = FakeNetworkProcess()
    networks = Networks(process, nothing_to_tidy_up, retry_pause_s=0.01, known_patience_s=0.1)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(networks.run())
        networks.take_view(difference(None, replace(EMPTY, revision=1)))
        await until_it_has(process, replace(EMPTY, revision=1))
        for name, value in change.items():
            setattr(process, name, value)
        networks.take_view(difference(replace(EMPTY, revision=1), told))
        if not change:
            await until_it_has(process, told)
        with pytest.raises(Unavailable, match=said):
            await networks.until_known(task())
        work.cancel()


async def until_it_has(process: FakeNetworkProcess, view: NodeView) -> None:
    async with asyncio.timeout(30):
        while view not in process.views:
            await asyncio.sleep(0.005)


async def test_a_task_that_is_to_end_waits_until_the_manager_calls_it_drained() -> None:
    async with running(FakeNetworkProcess()) as networks, asyncio.TaskGroup() as group:
        waiting = group.create_task(networks.until_drained(task()))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        networks.take(AssignmentsMessage(sequence=1, drained=(TaskId("t"),)))
        await waiting


async def test_it_does_not_wait_for_ever() -> None:
    async with running(FakeNetworkProcess()) as networks:
        async with asyncio.timeout(20 * module.DRAIN_PATIENCE_S):
            await networks.until_drained(task())


def test_a_node_that_leaves_waits_a_moment_only() -> None:
    async def as_it_leaves() -> None:
        async with running(FakeNetworkProcess()) as networks, asyncio.TaskGroup() as group:
            before = group.create_task(networks.until_drained(task()))
            await asyncio.sleep(0)
            networks.part()
            await networks.until_drained(task())
            assert not before.done()

    run_virtual(as_it_leaves())


async def test_a_process_forgets_a_cluster_that_its_node_leaves() -> None:
    process = FakeNetworkProcess()
    async with running(process) as networks:
        networks.take_view(difference(None, WITH_FRONT))
        await networks.until_known(task())
        await networks.leave()
    assert not process.views[-1].networks


async def test_leftovers_are_tried_again_until_they_are_gone() -> None:
    tries: asyncio.Queue[IsWanted] = asyncio.Queue()

    async def busy_twice(is_wanted: IsWanted) -> None:
        tries.put_nowait(is_wanted)
        if tries.qsize() <= 2:
            raise Unavailable("a container is still in it")

    networks = Networks(FakeNetworkProcess(), busy_twice, retry_pause_s=0.01)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(networks.run())
        networks.take_view(difference(None, EMPTY))
        while tries.qsize() < 3:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert tries.qsize() == 3
        work.cancel()
