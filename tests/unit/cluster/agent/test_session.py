from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from cluster.agent import session as session_module
from cluster.agent.attached_files import AttachedFiles
from cluster.agent.session import Session
from cluster.agent.worker import Worker
from cluster.clock import SystemClock
from cluster.errors import FailedPrecondition, Unavailable
from cluster.model.ids import NodeId, TaskId
from cluster.model.logs import LogLine
from cluster.model.meta import Meta
from cluster.model.node import Node
from cluster.model.task_state import TaskState
from cluster.model.units import MILLISECOND_NS, SECOND_NS, Timestamp
from cluster.rpc import methods
from cluster.rpc.error_status import LeaderElsewhere
from cluster.rpc.messages import (
    AssignmentsMessage,
    Empty,
    HeartbeatResponse,
    LogOrder,
    ManagerAddress,
    PublishLogsRequest,
    PublishLogsResponse,
    SessionMessage,
    UpdateTaskStatusRequest,
)
from cluster.rpc.methods import Method
from tests.support.fake_executor import FakeExecutor
from tests.support.fake_networks import no_networks
from tests.support.local_states import local_state
from tests.unit.cluster.agent.tasks import a_task

PERIOD_NS = 5 * MILLISECOND_NS


class FakeManagers:
    """Managers by address; the test says who leads and what is sent."""

    def __init__(self) -> None:
        self.leader = "m1:1"
        self.known = ("m1:1", "m2:1")
        self.absent: set[str] = set()
        self.tells_leader = True
        self.connected: list[str] = []
        self.sessions: list[str] = []
        self.streams: list[asyncio.Queue[AssignmentsMessage | None]] = []
        self.first: AssignmentsMessage = AssignmentsMessage(sequence=0, is_complete=True)
        self.beats: list[str] = []
        self.beat_timeouts_s: list[float] = []
        self.statuses: list[tuple[str, str, str]] = []
        self.goodbyes: list[str] = []
        self.orders: asyncio.Queue[LogOrder] = asyncio.Queue()
        self.published: list[PublishLogsRequest] = []
        self.refuses_beats = False
        self.ended = asyncio.Event()

    @asynccontextmanager
    async def connect(self, addr: str) -> AsyncIterator[FakeLink]:
        self.connected.append(addr)
        yield FakeLink(self, addr)


class FakeLink:
    def __init__(self, managers: FakeManagers, addr: str) -> None:
        self._managers = managers
        self._addr = addr

    def _check(self) -> None:
        managers = self._managers
        if self._addr in managers.absent:
            raise Unavailable(f"{self._addr} cannot be reached")
        if self._addr != managers.leader:
            raise LeaderElsewhere("not leader", managers.leader if managers.tells_leader else "")

    async def call(self, method: Method[Any, Any], request: Any, *, timeout_s: float) -> Any:
        assert timeout_s > 0
        self._check()
        managers = self._managers
        if method is methods.HEARTBEAT:
            if managers.refuses_beats:
                managers.refuses_beats = False
                raise FailedPrecondition("session is invalid")
            managers.beats.append(request.session_id)
            managers.beat_timeouts_s.append(timeout_s)
            return HeartbeatResponse(period_ns=PERIOD_NS)
        if method is methods.GOODBYE:
            managers.goodbyes.append(request.session_id)
            return Empty()
        if method is methods.PUBLISH_LOGS:
            managers.published.append(request)
            return PublishLogsResponse()
        assert isinstance(request, UpdateTaskStatusRequest)
        managers.statuses += [
            (request.session_id, u.task_id, u.status.state.spelled) for u in request.updates
        ]
        return Empty()

    async def stream(self, method: Method[Any, Any], request: Any) -> AsyncIterator[Any]:
        self._check()
        managers = self._managers
        if method is methods.SESSION:
            session_id = f"session{len(managers.sessions) + 1}"
            managers.sessions.append(session_id)
            yield SessionMessage(
                session_id=session_id,
                node=Node(id=NodeId("node"), meta=Meta(), description=request.description),
                managers=tuple(ManagerAddress(node_id=NodeId(a), addr=a) for a in managers.known),
                heartbeat_period_ns=PERIOD_NS,
            )
            await managers.ended.wait()
            return
        if method is methods.LOGS:
            while True:
                yield await managers.orders.get()
        queue: asyncio.Queue[AssignmentsMessage | None] = asyncio.Queue()
        managers.streams.append(queue)
        yield managers.first
        while (message := await queue.get()) is not None:
            yield message


class Bench:
    def __init__(self, folder: Path, seeds: tuple[str, ...]) -> None:
        self.managers = FakeManagers()
        self.executor = FakeExecutor()
        self.worker = Worker(
            self.executor,
            local_state(folder),
            SystemClock(),
            AttachedFiles(),
            no_networks(),
            retry_pause_s=0.01,
        )
        self.messages: list[SessionMessage] = []
        self.session = Session(
            self.worker,
            self.managers.connect,
            self.executor,
            SystemClock(),
            random.Random(1),
            seeds=seeds,
            addr="10.0.0.9",
            manager_addr="10.0.0.9:2377",
            on_message=self.messages.append,
        )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def at_work(folder: Path, *seeds: str, bench: Bench | None = None) -> AsyncIterator[Bench]:
    bench = bench or Bench(folder, seeds or ("m1:1",))
    async with asyncio.TaskGroup() as group:
        parts = [group.create_task(bench.worker.run()), group.create_task(bench.session.run())]
        yield bench
        for part in parts:
            part.cancel()


async def test_a_session_brings_assignments_and_takes_statuses(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        await until(lambda: len(bench.managers.streams) == 1)
        bench.managers.streams[0].put_nowait(AssignmentsMessage(sequence=1, tasks=(a_task("a"),)))
        await until(lambda: ("session1", "a", "running") in bench.managers.statuses)
        await until(lambda: len(bench.managers.beats) > 2)
        assert bench.session.is_open
        assert bench.messages[0].session_id == "session1"


async def test_a_session_sends_the_logs_that_are_ordered(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        await until(lambda: len(bench.managers.streams) == 1)
        bench.managers.streams[0].put_nowait(AssignmentsMessage(sequence=1, tasks=(a_task("a"),)))
        await until(lambda: ("session1", "a", "running") in bench.managers.statuses)
        task_id = TaskId("a")
        line = LogLine(task_id=task_id, stream=1, timestamp=Timestamp(1), data=b"hello\n")
        bench.executor.printed[task_id] = [line]
        bench.managers.orders.put_nowait(LogOrder(log_id="log", task_id=task_id))
        await until(lambda: len(bench.managers.published) == 2)
        assert [request.lines for request in bench.managers.published] == [(line,), ()]
        assert bench.managers.published[1].is_end


async def test_a_follower_sends_the_node_to_the_leader(tmp_path: Path) -> None:
    async with at_work(tmp_path, "m2:1") as bench:
        await until(lambda: bench.session.is_open)
        assert bench.managers.connected == ["m2:1", "m1:1"]
        assert bench.session.leader_addr == "m1:1"


async def test_the_next_manager_is_tried_when_one_does_not_answer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ("m1:1", "m2:1"))
    bench.managers.absent.add("m1:1")
    bench.managers.leader = "m2:1"
    async with at_work(tmp_path, bench=bench):
        await until(lambda: bench.session.is_open)
        assert bench.managers.connected == ["m1:1", "m2:1"]


async def test_learned_managers_are_tried_when_the_leader_is_gone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        await until(lambda: bench.session.is_open)
        bench.managers.absent.add("m1:1")
        bench.managers.leader = "m2:1"
        await until(lambda: len(bench.managers.sessions) == 2)
        assert bench.managers.connected[-1] == "m2:1"


async def test_a_refused_heartbeat_opens_a_new_session_that_is_told_everything(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as bench:
        bench.managers.first = AssignmentsMessage(
            sequence=0, is_complete=True, tasks=(a_task("a"),)
        )
        await until(lambda: ("session1", "a", "running") in bench.managers.statuses)
        bench.managers.refuses_beats = True
        await until(lambda: ("session2", "a", "running") in bench.managers.statuses)


async def test_a_gap_in_the_assignments_asks_for_the_full_set(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        await until(lambda: len(bench.managers.streams) == 1)
        bench.managers.streams[0].put_nowait(AssignmentsMessage(sequence=5))
        await until(lambda: len(bench.managers.streams) == 2)
        assert bench.managers.sessions == ["session1"]


async def test_tasks_go_on_while_no_manager_answers(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.managers.first = AssignmentsMessage(
            sequence=0, is_complete=True, tasks=(a_task("a"),)
        )
        await until(lambda: ("session1", "a", "running") in bench.managers.statuses)
        bench.managers.absent |= {"m1:1", "m2:1"}
        await until(lambda: not bench.session.is_open)
        task_id = a_task("a").id
        bench.executor.end(task_id, 1)
        await until(lambda: bench.worker.reporter.newest[task_id].state is TaskState.FAILED)
        bench.managers.absent.clear()
        await until(lambda: ("session2", "a", "failed") in bench.managers.statuses)


async def test_goodbye_names_the_session(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        await until(lambda: bench.session.is_open)
        await bench.session.goodbye()
        assert bench.managers.goodbyes == ["session1"]
        bench.managers.ended.set()  # a manager ends the session of a node that is gone
        await until(lambda: not bench.session.is_open)
        await asyncio.sleep(0.15)
        assert bench.managers.sessions == ["session1"]


async def test_goodbye_without_a_session_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ())
    with pytest.raises(Unavailable, match="no session is open"):
        await bench.session.goodbye()


async def test_a_node_whose_engine_is_away_gives_up_its_session_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "ENGINE_PATIENCE_S", 0.05)
    monkeypatch.setattr(session_module, "ENGINE_RETRY_S", 0.01)
    async with at_work(tmp_path) as bench:
        await until(lambda: bench.session.is_open)
        bench.executor.is_away = True
        await until(lambda: not bench.session.is_open)
        bench.executor.is_away = False
        await until(lambda: len(bench.managers.sessions) == 2)


async def test_an_engine_that_is_soon_back_costs_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "ENGINE_RETRY_S", 0.01)
    async with at_work(tmp_path) as bench:
        await until(lambda: bench.session.is_open)
        bench.executor.is_away = True
        await asyncio.sleep(0.05)
        bench.executor.is_away = False
        await asyncio.sleep(0.05)
        assert bench.session.is_open
        assert bench.managers.sessions == ["session1"]


async def test_why_there_is_no_session_is_logged_once_for_many_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "LONGEST_PAUSE_S", 0.001)
    bench = Bench(tmp_path, ("m1:1", "m2:1"))
    bench.managers.absent |= {"m1:1", "m2:1"}
    with capture_logs() as logs:
        async with at_work(tmp_path, bench=bench):
            await until(lambda: len(bench.managers.connected) == 9)
            bench.managers.absent.clear()
            await until(lambda: bench.session.is_open)
            bench.managers.ended.set()
            await until(lambda: not bench.session.is_open)
    told = [(entry["event"], entry["manager"]) for entry in logs if entry["log_level"] == "warning"]
    assert told[:2] == [("no session", "m1:1"), ("no session", "m2:1")]
    assert ("session ended", "m1:1") in told
    assert len([one for one in told if one[0] == "no session"]) <= 3  # or sent on to the leader


async def test_who_is_to_beat_less_often_also_waits_longer_for_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "HEARTBEAT_TIMEOUT_S", 0.001)
    async with at_work(tmp_path) as bench:
        await until(lambda: len(bench.managers.beats) == 3)
    assert bench.managers.beat_timeouts_s[1:] == [2 * PERIOD_NS / SECOND_NS] * 2
