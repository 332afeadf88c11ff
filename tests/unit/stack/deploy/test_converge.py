"""Waiting for a stack, over a real socket and in virtual time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.deploy.apply import apply
from stack.deploy.converge import Pace, converge
from stack.deploy.events import ObjectEvent, ServiceEvent, line_of
from stack.deploy.observe import observe
from stack.deploy.plan import make_plan
from stack.engine.client import EngineClient
from stack.errors import NotConverged, RolledBack, TimedOut, Unschedulable
from stack.translate.stack_spec import stack_spec
from tests.unit.stack.engine_server import EngineServer, serving
from tests.unit.stack.project import load_texts

FILE = "services: {web: {image: i, deploy: {replicas: 2}}}"


class VirtualTime:
    """Sleeping moves the clock and runs what was planned for then."""

    def __init__(self) -> None:
        self.now = 0.0
        self._plans: list[tuple[float, Callable[[], None]]] = []

    def at(self, moment: float, action: Callable[[], None]) -> None:
        self._plans.append((moment, action))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for plan in [plan for plan in self._plans if plan[0] <= self.now]:
            self._plans.remove(plan)
            plan[1]()


class Stage:
    def __init__(self, engine: EngineServer, host: str) -> None:
        self.engine, self.client, self.time = engine, EngineClient.at(host), VirtualTime()
        self.lines: list[str] = []

    def deploy(self, text: str = FILE) -> None:
        wanted = stack_spec(load_texts(text, stack="st").compose)
        observed = observe(self.client, wanted)
        plan = make_plan(wanted, observed, prune=False)
        self.ids = apply(self.client, plan, observed, self.tell).service_ids

    def tell(self, event: ObjectEvent | ServiceEvent) -> None:
        self.lines.append(line_of(event))

    def wait(self, *, timeout_s: float = 60.0, stable_s: float = 1.0) -> None:
        pace = Pace(now=lambda: self.time.now, sleep=self.time.sleep)
        self.lines.clear()
        converge(
            self.client, "st", self.ids, (), timeout_s=timeout_s, stable_s=stable_s,
            tell=self.tell, pace=pace,
        )  # fmt: skip

    def states(self, *states: dict) -> None:
        for task, state in zip(self.engine.tasks, states, strict=True):
            task["Status"] = state


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    engine = EngineServer()
    with serving(engine, tmp_path) as host:
        stage = Stage(engine, host)
        with stage.client:
            yield stage


PENDING = {"State": "pending", "Err": "no suitable node (2 nodes not available)"}
RUNNING = {"State": "running"}
PREPARING = {"State": "preparing"}


def test_it_returns_once_all_tasks_have_run_for_the_stable_time(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PREPARING
    stage.deploy()
    stage.time.at(3, lambda: stage.states(RUNNING, PREPARING))
    stage.time.at(5, lambda: stage.states(RUNNING, RUNNING))
    stage.wait(stable_s=2)
    assert stage.lines == ["st_web: 0/2 running", "st_web: 1/2 running", "st_web: 2/2 running"]
    assert stage.time.now == pytest.approx(7, abs=0.3)


def test_a_failure_asks_for_a_longer_stable_time(stage: Stage) -> None:
    stage.deploy()
    failed = {
        **stage.engine.tasks[0],
        "ID": "t-failed",
        "Status": {"State": "failed", "Err": "exit (1)"},
    }
    stage.engine.tasks.append({**failed, "DesiredState": "shutdown"})
    stage.wait()
    assert stage.time.now == pytest.approx(5, abs=0.3)


def test_a_rejected_task_ends_the_waiting_with_its_reason(stage: Stage) -> None:
    stage.engine.outcome = lambda _: {"State": "rejected", "Err": "No such image: i:latest"}
    stage.deploy()
    with pytest.raises(NotConverged, match=r"^st_web: a task cannot run: No such image: i:latest$"):
        stage.wait()
    assert stage.time.now < 1


def test_a_task_without_a_node_ends_the_waiting_after_some_seconds(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PENDING
    stage.deploy()
    with pytest.raises(
        Unschedulable, match=r"^st_web: no suitable node \(2 nodes not available\)$"
    ):
        stage.wait()
    assert stage.time.now == pytest.approx(10, abs=0.5)


def test_a_node_that_comes_in_time_is_waited_for(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PENDING
    stage.deploy()
    stage.time.at(8, lambda: stage.states(RUNNING, RUNNING))
    stage.wait()
    assert stage.time.now == pytest.approx(9, abs=0.5)


def test_a_global_service_that_fits_no_node_is_told(stage: Stage) -> None:
    stage.deploy("services: {web: {image: i, deploy: {mode: global}}}")
    stage.engine.tasks.clear()
    with pytest.raises(Unschedulable, match="st_web: no node fits its placement"):
        stage.wait()


def test_when_the_time_is_over_all_that_does_not_run_is_listed(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PREPARING
    stage.deploy("services: {a: {image: i}, b: {image: i}}")
    stage.states(RUNNING, PREPARING)
    with pytest.raises(TimedOut, match=r"^not running after 3 s; st_b: 0/1 running$"):
        stage.wait(timeout_s=3)


def test_a_slot_that_fails_three_times_ends_the_waiting(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PREPARING
    stage.deploy()

    def crash() -> None:
        first = stage.engine.tasks[0]
        failed = {"State": "failed", "Err": "task: non-zero exit (1)"}
        identifier = f"t-failed{len(stage.engine.tasks)}"
        stage.engine.tasks.append(
            {**first, "ID": identifier, "Status": failed, "DesiredState": "shutdown"}
        )

    for moment in (5, 10, 15):
        stage.time.at(moment, crash)
    with pytest.raises(
        NotConverged, match=r"^st_web: a task failed 3 times: task: non-zero exit \(1\)$"
    ):
        stage.wait(timeout_s=120)
    assert stage.time.now == pytest.approx(15, abs=0.5)


def update(stage: Stage, state: str, message: str = "") -> Callable[[], None]:
    def act() -> None:
        for service in stage.engine.services.values():
            service["UpdateStatus"] = {"State": state, "StartedAt": "now", "Message": message}

    return act


def test_an_update_is_waited_for_until_the_cluster_calls_it_complete(stage: Stage) -> None:
    stage.deploy()
    update(stage, "updating")()
    stage.time.at(6, update(stage, "completed"))
    stage.wait(stable_s=0)
    assert stage.lines == ["st_web: 2/2 running, updating", "st_web: 2/2 running"]
    assert stage.time.now == pytest.approx(6, abs=0.3)


def test_a_rollback_is_waited_for_and_names_the_task_that_failed(stage: Stage) -> None:
    stage.deploy()
    for service in stage.engine.services.values():
        service["PreviousSpec"] = service["Spec"]
        service["Spec"] = {**service["Spec"], "UpdateConfig": {"FailureAction": "rollback"}}
    rejected = {"State": "rejected", "Err": "No such image: i:2"}
    first = {**stage.engine.tasks[0], "ID": "t-bad", "Status": rejected}
    stage.engine.tasks.append({**first, "DesiredState": "shutdown"})
    update(stage, "updating")()
    stage.time.at(2, update(stage, "rollback_started", "update rolled back due to task t-bad"))
    stage.time.at(4, update(stage, "rollback_completed", "rollback completed"))
    with pytest.raises(RolledBack, match=r"^st_web: .*rolled back.*: No such image: i:2$") as error:
        stage.wait()
    assert stage.time.now == pytest.approx(4, abs=0.3)
    assert [task.task_id for task in error.value.failed] == ["t-bad"]


def test_a_service_that_somebody_removes_is_no_success(stage: Stage) -> None:
    stage.deploy()
    stage.engine.services.clear()
    with pytest.raises(NotConverged, match="somebody removed"):
        stage.wait()


def test_what_finds_no_node_until_the_end_is_unschedulable(stage: Stage) -> None:
    stage.engine.outcome = lambda _: PENDING
    stage.deploy()
    with pytest.raises(Unschedulable, match=r"^not running after 2 s"):
        stage.wait(timeout_s=2)
