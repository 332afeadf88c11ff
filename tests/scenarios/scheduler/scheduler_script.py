"""The commands of the scheduler's scenarios: nodes, groups of pending tasks, passes."""

from __future__ import annotations

from collections import defaultdict

from cluster.model.objects import StoredObject
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.schedule import PENDING_TASKS, Scheduler
from tests.support.builders import (
    GIB,
    counting_ids,
    make_node,
    make_service,
    make_state,
    make_task,
    seconds,
)
from tests.support.datadriven import Command


class SchedulerScript:
    """One scenario.

    nodes NAME...  [zone=..] [cpus=N] [memory=GIB] [state=..] [availability=..] [arch=..]
    pending SERVICE COUNT [cpus=N] [memory=GIB] [port=N] [constraint=a==b] [spread=label,label]
                          [max=N]
    end SERVICE COUNT     the first tasks of a service end
    schedule              a pass; prints who went where
    """

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._made = 0

    def handle(self, command: Command) -> str:
        match command.name:
            case "nodes":
                self._nodes(command)
            case "pending":
                self._pending(command)
            case "end":
                self._end(command)
            case "schedule":
                return self._schedule()
            case other:
                raise ValueError(f"unknown command {other!r}")
        return ""

    def _nodes(self, command: Command) -> None:
        options = command.options
        for name in command.args:
            self._objects[name] = make_node(
                name,
                labels={"zone": options["zone"]} if "zone" in options else None,
                cpus=float(options.get("cpus", "4")),
                memory=int(options.get("memory", "8")) * GIB,
                state=options.get("state", "ready"),
                availability=options.get("availability", "active"),
                arch=options.get("arch", "x86_64"),
            )

    def _pending(self, command: Command) -> None:
        (name, count), options = command.args, command.options
        service = make_service(
            name,
            cpus=float(options.get("cpus", "0")),
            memory=int(options.get("memory", "0")) * GIB,
            constraints=[options["constraint"]] if "constraint" in options else [],
            host_ports=[int(options["port"])] if "port" in options else [],
            spread=[s for s in options.get("spread", "").split(",") if s],
            max_replicas=command.option("max", 0),
        )
        self._objects[name] = service
        for _ in range(int(count)):
            self._made += 1
            task_id = f"t{self._made:03}"
            self._objects[task_id] = make_task(
                task_id, service, slot=self._made, state=TaskState.PENDING, made_at=self._made
            )

    def _end(self, command: Command) -> None:
        name, count = command.args
        tasks = [t for t in self._tasks() if t.service_id == name and t.node_id]
        for task in tasks[: int(count)]:
            del self._objects[task.id]

    def _schedule(self) -> str:
        state = make_state(*self._objects.values())
        plan = Scheduler().reconcile(state, PENDING_TASKS, seconds(1000), counting_ids())
        counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        for task in plan.update:
            assert isinstance(task, Task)
            self._objects[task.id] = task
            counts[task.service_name, task.node_id or f"nowhere: {task.status.error}"] += 1
        lines = [f"{name}: {n} on {node}" for (name, node), n in sorted(counts.items())]
        return "\n".join(lines).replace("on nowhere", "nowhere") or "nothing new"

    def _tasks(self) -> list[Task]:
        return [item for item in self._objects.values() if isinstance(item, Task)]
