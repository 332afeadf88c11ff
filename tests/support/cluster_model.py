"""A cluster in virtual time: the real reconcilers, nodes that only pretend to run containers.

After every single plan the model checks what must always hold: states only move forward, by those
who may move them; a task never changes its node; a plan carried out leaves nothing to plan.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from msgspec.structs import replace

from cluster.allocator.allocate import Allocator
from cluster.api.commands.rollouts import Rollouts
from cluster.api.commands.services import roll_back_service
from cluster.control.reconciler import Reconciler
from cluster.control.work_queue import WorkQueue
from cluster.model.cluster import REBALANCE_LABEL
from cluster.model.ids import NodeId, ServiceId
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TRANSITIONS, TaskState, Writer, may_move
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.orchestrator.global_services import GlobalServices
from cluster.orchestrator.jobs import Jobs
from cluster.orchestrator.misplaced_tasks import MisplacedTasks
from cluster.orchestrator.replicated_services import ReplicatedServices
from cluster.orchestrator.task_reaper import TaskReaper
from cluster.scheduler.rebalancer import Rebalancer
from cluster.scheduler.schedule import Scheduler
from cluster.store.change import Change, Created, Deleted
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction
from tests.support.builders import counting_ids

START = Timestamp(1_700_000_000 * SECOND_NS)

S = TaskState


def all_reconcilers() -> tuple[Reconciler, ...]:
    return (
        ReplicatedServices(),
        GlobalServices(),
        Jobs(),
        MisplacedTasks(),
        Allocator(),
        Scheduler(),
        Rebalancer(),
        Rollouts(),
        TaskReaper(),
    )


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """What containers of an image do; times in seconds."""

    prepare_s: float = 0.5
    start_s: float = 0.1
    stop_s: float = 0.5
    is_missing: bool = False  # the image cannot be had
    crash_after_s: float | None = None
    finish_after_s: float | None = None


class ClusterModel:
    """A leader's reconcilers and the agents of all nodes."""

    def __init__(
        self, *objects: StoredObject, behaviours: dict[str, Behaviour] | None = None
    ) -> None:
        """Begin with some objects; `behaviours` are by image, others have the default one."""
        self.now = START
        self.state = ClusterState()
        self.behaviours = behaviours or {}
        self.checks: list[Callable[[ClusterModel], None]] = []
        self.unreachable: set[str] = set()  # nodes whose agents neither hear nor report
        self.new_id = counting_ids("t")
        self._reconcilers = all_reconcilers()
        self._queue: WorkQueue[tuple[int, str]] = WorkQueue()
        self._has_leader = True
        self._events: list[tuple[Timestamp, int, Callable[[], None]]] = []
        self._order = count()
        self._moved: dict[str, tuple[TaskState, TaskState]] = {}
        self.put(*objects)

    # -- what a test does --------------------------------------------------------------------

    def put(self, *objects: StoredObject) -> None:
        """Create the objects, or put them in place of their former selves."""
        tx = Transaction(self.state, self.now)
        for item in objects:
            if item.id in tx.state.table_of(item):
                tx.update(item)
            else:
                tx.create(item)
        self._commit(tx)
        self.settle()

    def change_service(self, service_id: str, **changes: Any) -> None:
        """Change members of a service's spec, as the API's update does."""
        service = self.service(service_id)
        spec = replace(service.spec, **changes)
        self.put(
            replace(
                service,
                spec=spec,
                previous_spec=service.spec,
                spec_version=self.state.revision + 1,
                update_status=None,
                job_iteration=service.job_iteration + service.spec.is_job,
            )
        )

    def roll_back(self, service_id: str) -> None:
        """Swap the service's specs, as a user asks for it."""
        tx = Transaction(self.state, self.now)
        roll_back_service(tx, service_id, self.service(service_id).meta.version)
        self._commit(tx)
        self.settle()

    def change_image(self, service_id: str, image: str) -> None:
        template = self.service(service_id).spec.task_template
        container = replace(template.container_spec, image=image)
        self.change_service(service_id, task_template=replace(template, container_spec=container))

    def ask_to_rebalance(self, request: str) -> None:
        """Ask for tasks to be spread anew, as a user does; "" takes the wish back."""
        cluster = self.state.cluster
        assert cluster is not None
        labels = {REBALANCE_LABEL: request} if request else {}
        self.put(replace(cluster, spec=replace(cluster.spec, labels=labels)))

    def remove_service(self, service_id: str) -> None:
        """Delete the service and want its tasks removed, as the API does."""
        tx = Transaction(self.state, self.now)
        tx.delete(self.service(service_id))
        for task in self.tasks(service_id):
            tx.update(replace(task, desired_state=S.REMOVE))
        self._commit(tx)
        self.settle()

    def lose_node(self, node_id: str) -> None:
        """Cut the node off; the dispatcher has found out."""
        self.unreachable.add(node_id)
        self.set_node(node_id, state="down")

    def restore_node(self, node_id: str) -> None:
        """Let the node be heard of again; its agent learns what it missed."""
        self.unreachable.discard(node_id)
        self.set_node(node_id, state="ready")
        for task in self.state.tasks_of_node(NodeId(node_id)):
            self._look_at(task)

    def set_node(
        self, node_id: str, *, state: Any = None, availability: Any = None, labels: Any = None
    ) -> None:
        node = self.node(node_id)
        if state is not None:
            status = replace(node.status, state=state, since=self.now)
            node = replace(node, status=status)
        if availability is not None:
            node = replace(node, spec=replace(node.spec, availability=availability))
        if labels is not None:
            node = replace(node, spec=replace(node.spec, labels=labels))
        self.put(node)

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        until = after(self.now, round(seconds * SECOND_NS))
        while True:
            due = [self._events[0][0]] if self._events else []
            next_key = self._queue.next_due() if self._has_leader else None
            due += [next_key] if next_key is not None else []
            moment = min(due, default=None)
            if moment is None or moment > until:
                break
            self.now = max(self.now, moment)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self.settle()
        self.now = until

    # -- what a test looks at ----------------------------------------------------------------

    @property
    def passed_s(self) -> float:
        return (self.now - START) / SECOND_NS

    def node(self, node_id: str) -> Node:
        node = self.state.node(NodeId(node_id))
        assert node is not None
        return node

    def service(self, service_id: str) -> Service:
        service = self.state.service(ServiceId(service_id))
        assert service is not None
        return service

    def tasks(self, service_id: str) -> list[Task]:
        return self.state.tasks_of_service(ServiceId(service_id))

    def wanted(self, service_id: str) -> list[Task]:
        return [t for t in self.tasks(service_id) if t.is_active]

    def running(self, service_id: str) -> list[Task]:
        """Tasks whose container runs, wanted or not, on nodes that can be reached."""
        return [
            t
            for t in self.tasks(service_id)
            if t.status.state is S.RUNNING and t.node_id not in self.unreachable
        ]

    def per_node(self, service_id: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for task in self.running(service_id):
            counts[task.node_id] = counts.get(task.node_id, 0) + 1
        return counts

    # -- the leader --------------------------------------------------------------------------

    def settle(self) -> None:
        """Run reconcilers until no key is due."""
        for _ in range(10_000 if self._has_leader else 0):
            entry = self._queue.pop(self.now)
            if entry is None:
                break
            self._run(entry)
        else:
            assert not self._has_leader, "the reconcilers do not come to rest"
        for check in self.checks:
            check(self)

    def run_leaderless_for(self, seconds: float) -> None:
        """Let time pass in which nobody decides anything, then begin with a new leader."""
        self._has_leader = False
        self.run_for(seconds)
        self.change_leader()

    def change_leader(self) -> None:
        """Forget all that is not stored, as a new leader would not know it."""
        self._has_leader = True
        self._reconcilers = all_reconcilers()
        self._queue = WorkQueue()
        for number, reconciler in enumerate(self._reconcilers):
            for key in reconciler.all_keys(self.state):
                self._queue.add((number, key))
        self.settle()

    def _run(self, entry: tuple[int, str]) -> None:
        number, key = entry
        reconciler = self._reconcilers[number]
        plan = reconciler.reconcile(self.state, key, self.now, self.new_id)
        tx = Transaction(self.state, self.now)
        tx.carry_out(plan)
        changed = self._commit(tx)
        again = reconciler.reconcile(self.state, key, self.now, self.new_id)
        assert again.is_empty, f"{reconciler.name} {key}: {plan} leaves {again}"
        assert again.wake_at == plan.wake_at or changed
        if again.wake_at is not None:
            assert again.wake_at > self.now
            self._queue.add_at(entry, again.wake_at)

    def _commit(self, tx: Transaction) -> bool:
        if not tx.changes:
            return False
        before = self.state
        self.state = before.apply(tx.changes)
        for change in tx.changes:
            if isinstance(change.item, Task):
                self._check(before.task(change.item.id), change)
                self._look_at(change.item)
            for number, reconciler in enumerate(self._reconcilers):
                for key in reconciler.keys_of(change, self.state):
                    self._queue.add((number, key))
        return True

    def _check(self, old: Task | None, change: Change) -> None:
        task = change.item
        assert isinstance(task, Task)
        if old is None:
            assert isinstance(change, Created)
            assert task.status.state is S.NEW
            return
        if isinstance(change, Deleted):
            return
        assert task.desired_state >= old.desired_state, f"{task.id}: desired state went back"
        assert old.node_id in ("", task.node_id), f"{task.id}: moved to another node"
        step = (old.status.state, task.status.state)
        if step[0] != step[1]:
            assert any(step in allowed for allowed in TRANSITIONS.values()), f"{task.id}: {step}"

    # -- the nodes ---------------------------------------------------------------------------

    def _look_at(self, task: Task) -> None:
        """Let the task's agent do its next step when the time for it has come."""
        goal = (task.status.state, task.desired_state)
        if task.status.state < S.ASSIGNED or self._moved.get(task.id) == goal:
            return
        step = self._next_step(task)
        if step is None:
            return
        self._moved[task.id] = goal
        delay_s, state, error = step
        moment = after(self.now, round(delay_s * SECOND_NS))
        task_id = task.id

        def happen() -> None:
            present = self.state.task(task_id)
            if present is None or (present.status.state, present.desired_state) != goal:
                return
            if present.node_id in self.unreachable:
                del self._moved[task_id]
                return
            self._report(present, state, error)

        heapq.heappush(self._events, (moment, next(self._order), happen))

    def _next_step(self, task: Task) -> tuple[float, TaskState, str] | None:
        state, desired = task.status.state, task.desired_state
        container = task.spec.container_spec
        assert container is not None
        behaviour = self.behaviours.get(container.image, Behaviour())
        if state.is_terminal:
            return None
        if not task.is_wanted:
            return (behaviour.stop_s if state >= S.STARTING else 0.05), S.SHUTDOWN, ""
        match state:
            case S.ASSIGNED:
                return 0.01, S.PREPARING, ""
            case S.PREPARING if behaviour.is_missing:
                return 0.2, S.REJECTED, f"No such image: {container.image}"
            case S.PREPARING:
                return behaviour.prepare_s, S.READY, ""
            case S.READY if desired is not S.READY:
                return 0.01, S.STARTING, ""
            case S.STARTING:
                return behaviour.start_s, S.RUNNING, ""
            case S.RUNNING if behaviour.crash_after_s is not None:
                return behaviour.crash_after_s, S.FAILED, "task: non-zero exit (1)"
            case S.RUNNING if behaviour.finish_after_s is not None:
                return behaviour.finish_after_s, S.COMPLETE, ""
            case _:
                return None

    def _report(self, task: Task, state: TaskState, error: str) -> None:
        assert may_move(Writer.AGENT, task.status.state, state)
        status = replace(
            task.status, state=state, timestamp=self.now, error=error, message=state.spelled
        )
        tx = Transaction(self.state, self.now)
        tx.update(task.observed(status))
        self._commit(tx)

    def kill_container(self, task: Task) -> None:
        """End a running task with an error."""
        self._report(task, S.FAILED, "task: non-zero exit (137)")
        self.settle()


def one_task_runs_per_slot(model: ClusterModel) -> None:
    """A check: no slot has two tasks at work at once, for services updated stop-first."""
    at_work: set[tuple[str, int | str]] = set()
    for task in _reachable(model):
        if (
            task.desired_state in (S.RUNNING, S.COMPLETE)
            and S.ASSIGNED <= task.status.state <= S.RUNNING
        ):
            key = (task.service_id, task.place)
            assert key not in at_work, f"two tasks at work in {key}"
            at_work.add(key)


def host_ports_are_used_once(model: ClusterModel) -> None:
    """A check: no two started containers of a node have the same host port."""
    used: set[tuple[str, int]] = set()
    for task in _reachable(model):
        if S.STARTING <= task.status.state <= S.RUNNING and task.endpoint_spec:
            for port in task.endpoint_spec.ports:
                key = (task.node_id, port.published_port)
                assert key not in used, f"port {key} is used twice"
                used.add(key)


def _reachable(model: ClusterModel) -> Iterable[Task]:
    return (t for t in model.state.tasks if t.node_id not in model.unreachable)
