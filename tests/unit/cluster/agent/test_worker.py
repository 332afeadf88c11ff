from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.worker import Worker
from cluster.clock import SystemClock
from cluster.errors import ClusterError, NotFound, Unavailable
from cluster.model.ids import NodeId, TaskId
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.rpc.messages import AssignmentsMessage, ManagerAddress
from tests.support.fake_executor import FakeExecutor, FakeView
from tests.support.fake_networks import no_networks
from tests.support.local_states import local_state
from tests.unit.cluster.agent.tasks import a_task

S = TaskState
ONE = TaskId("one")
PATIENCE_S = 60.0  # with containers that end at once


class Bench:
    """A worker at work, and what it reports."""

    def __init__(self, executor: FakeExecutor, worker: Worker) -> None:
        self.executor = executor
        self.worker = worker

    def assign(self, *tasks: Task) -> None:
        self.worker.apply(AssignmentsMessage(sequence=0, is_complete=True, tasks=tasks))

    def change(self, *tasks: Task) -> None:
        self.worker.apply(AssignmentsMessage(sequence=1, tasks=tasks))

    def state(self, task_id: TaskId = ONE) -> TaskState | None:
        status = self.worker.reporter.newest.get(task_id)
        return None if status is None else status.state

    def error(self, task_id: TaskId = ONE) -> str:
        return self.worker.reporter.newest[task_id].error

    async def until_state(self, state: TaskState, task_id: TaskId = ONE) -> None:
        await until(lambda: self.state(task_id) is state)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def at_work(folder: Path, executor: FakeExecutor | None = None) -> AsyncIterator[Bench]:
    executor = executor or FakeExecutor()
    worker = Worker(
        executor,
        local_state(folder),
        SystemClock(),
        AttachedFiles(),
        no_networks(),
        retry_pause_s=0.01,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run())
        await asyncio.sleep(0)
        yield Bench(executor, worker)
        running.cancel()


async def test_a_task_runs(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        status = bench.worker.reporter.newest[ONE]
        assert status.message == "started"
        assert status.container is not None
        assert status.container.container_id == "container1"
        assert status.container.pid == 42


async def test_a_task_desired_ready_holds_until_it_is_desired_running(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one", S.READY))
        await bench.until_state(S.READY)
        assert ("start", ONE) not in bench.executor.calls
        bench.change(a_task("one", S.RUNNING))
        await bench.until_state(S.RUNNING)


async def test_a_task_that_cannot_be_prepared_is_rejected(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.prepare_errors[ONE] = NotFound("No such image: app:1")
        bench.assign(a_task("one"))
        await bench.until_state(S.REJECTED)
        assert bench.error() == "No such image: app:1"
        assert bench.worker.reporter.newest[ONE].message == "preparing"


async def test_a_task_that_cannot_be_started_fails(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.start_errors[ONE] = ClusterError("exec: no such file")
        bench.assign(a_task("one"))
        await bench.until_state(S.FAILED)
        assert bench.error() == "starting container failed: exec: no such file"


async def test_a_container_that_ends_completes_or_fails_its_task(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"), a_task("two"))
        await bench.until_state(S.RUNNING)
        await bench.until_state(S.RUNNING, TaskId("two"))
        bench.executor.end(ONE, 0)
        bench.executor.end(TaskId("two"), 3)
        await bench.until_state(S.COMPLETE)
        await bench.until_state(S.FAILED, TaskId("two"))
        assert bench.error(TaskId("two")) == "task: non-zero exit (3)"


async def test_a_busy_engine_is_asked_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.prepare_errors[ONE] = Unavailable("busy")
        bench.assign(a_task("one"))
        await until(lambda: bench.executor.calls.count(("prepare", ONE)) >= 3)
        assert bench.state() is S.PREPARING
        assert bench.error() == "busy"
        del bench.executor.prepare_errors[ONE]
        await bench.until_state(S.RUNNING)
        assert not bench.error()


async def test_an_absent_engine_fails_no_task(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.executor.is_away = True
        bench.change(a_task("one", S.SHUTDOWN))
        await asyncio.sleep(0.05)
        assert bench.state() is S.RUNNING
        bench.executor.is_away = False
        await bench.until_state(S.SHUTDOWN)


async def test_a_container_is_running_only_once_it_is_healthy(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.health_after_start = "starting"
        bench.assign(a_task("one"))
        await bench.until_state(S.STARTING)
        await until(lambda: ("start", ONE) in bench.executor.calls)
        bench.executor.change(ONE, health="healthy")
        await bench.until_state(S.RUNNING)
        bench.executor.is_away = True  # so that it cannot be stopped yet
        bench.executor.change(ONE, health="unhealthy")
        await until(lambda: bench.worker.reporter.newest[ONE].is_unhealthy)
        assert bench.state() is S.RUNNING
        bench.executor.is_away = False
        await bench.until_state(S.FAILED)
        assert bench.error() == "task: non-zero exit (137): dockerexec: unhealthy container"
        assert ("shutdown", ONE) in bench.executor.calls


async def test_shutdown_keeps_the_container_and_remove_takes_it_away(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.change(a_task("one", S.SHUTDOWN))
        await bench.until_state(S.SHUTDOWN)
        assert bench.executor.views[ONE].phase == "ended"
        bench.change(a_task("one", S.REMOVE))
        await until(lambda: ONE not in bench.executor.views)


async def test_a_desired_remove_is_told_after_the_container_is_gone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.change(a_task("one", S.REMOVE))
        await bench.until_state(S.SHUTDOWN)
        assert ONE not in bench.executor.views


async def test_a_pull_is_given_up_when_its_task_is_not_wanted_any_more(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.pulls[ONE] = asyncio.Event()
        bench.assign(a_task("one"))
        await bench.until_state(S.PREPARING)
        bench.change(a_task("one", S.SHUTDOWN))
        await bench.until_state(S.SHUTDOWN)


async def test_a_task_that_leaves_the_set_is_stopped_and_removed(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.assign()
        await until(lambda: ONE not in bench.executor.views)
        assert bench.executor.calls[-2:] == [("shutdown", ONE), ("remove", ONE)]
        assert bench.state() is None


async def test_a_task_that_comes_back_while_it_is_removed_runs_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.assign()
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        assert bench.executor.views[ONE].container_id == "container2"


async def test_a_killed_agent_adopts_its_containers_without_a_manager(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        executor = bench.executor
    executor.calls.clear()
    async with at_work(tmp_path, executor) as bench:
        await bench.until_state(S.RUNNING)
        await asyncio.sleep(0.02)
        assert executor.calls == []
        executor.end(ONE, 1)
        await bench.until_state(S.FAILED)


async def test_what_ended_while_nobody_looked_is_told(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        executor = bench.executor
    executor.end(ONE, 2)
    async with at_work(tmp_path, executor) as bench:
        await bench.until_state(S.FAILED)
        assert bench.error() == "task: non-zero exit (2)"


async def test_leftovers_go_once_the_full_set_is_known_and_not_before(tmp_path: Path) -> None:
    executor = FakeExecutor()
    stray = TaskId("stray")
    executor.views[stray] = FakeView("old", "running")
    async with at_work(tmp_path, executor) as bench:
        bench.change(a_task("one"))
        await bench.until_state(S.RUNNING)
        assert stray in executor.views
        bench.assign(a_task("one"))
        await until(lambda: stray not in executor.views)
        assert ONE in executor.views


async def test_a_state_decided_by_the_manager_stands(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        bench.change(a_task("one", S.SHUTDOWN, S.ORPHANED))
        await until(lambda: bench.executor.views[ONE].phase == "ended")
        await asyncio.sleep(0.02)
        assert bench.state() is S.RUNNING  # nothing was reported over it


async def test_nothing_is_kept_of_a_task_that_left(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.prepare_errors[ONE] = NotFound("No such image: app:1")
        bench.assign(a_task("one"))
        await bench.until_state(S.REJECTED)
        bench.assign()
        await until(lambda: not bench.executor.listeners)
        assert bench.worker.reporter.newest == {}


async def test_a_bug_in_one_task_leaves_the_others_alone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.prepare_errors[ONE] = RuntimeError("bug")  # type: ignore[assignment]
        bench.assign(a_task("one"), a_task("two"))
        await bench.until_state(S.RUNNING, TaskId("two"))
        await bench.until_state(S.FAILED)
        await bench.worker.drop_all(PATIENCE_S)
        assert bench.executor.views == {}


async def test_a_container_of_a_task_whose_runner_broke_is_stopped(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"))
        await bench.until_state(S.RUNNING)
        view = bench.executor.views[ONE]
        bench.executor.change(ONE, health="no such word")  # the runner's table has no row for it
        await bench.until_state(S.FAILED)
        await until(lambda: bench.executor.views[ONE].phase == "ended")
        assert bench.executor.views[ONE].container_id == view.container_id


async def test_leaving_drops_everything(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.assign(a_task("one"), a_task("two"))
        await bench.until_state(S.RUNNING)
        await bench.worker.drop_all(PATIENCE_S)
        assert bench.executor.views == {}


async def test_leaving_removes_what_does_not_end(tmp_path: Path) -> None:
    async with at_work(tmp_path) as bench:
        bench.executor.obstinate = {ONE}
        bench.assign(a_task("one"), a_task("two"))
        await bench.until_state(S.RUNNING)
        await bench.worker.drop_all(0.05)
        assert bench.executor.views == {}


async def test_managers_are_remembered(tmp_path: Path) -> None:
    managers = (ManagerAddress(node_id=NodeId("m"), addr="10.0.0.1:2377"),)
    async with at_work(tmp_path) as bench:
        bench.worker.learn_managers(managers)
    assert local_state(tmp_path).load().managers == managers
