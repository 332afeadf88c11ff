from __future__ import annotations

from pathlib import Path

import pytest

from cluster.allocator.allocate import Allocator
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from tests.support.builders import counting_ids, make_service, make_state, make_task, seconds
from tests.support.datadriven import Command, run_file

FILES = sorted(Path(__file__).parent.glob("*.txt"))


class AllocatorScript:
    """task NAME [state=..] [desired=..] | allocate."""

    def __init__(self) -> None:
        self._service = make_service("web")
        self._tasks: dict[str, Task] = {}

    def handle(self, command: Command) -> str:
        if command.name == "task":
            name = command.args[0]
            self._tasks[name] = make_task(
                name,
                self._service,
                state=TaskState[command.options.get("state", "NEW")],
                desired=TaskState[command.options.get("desired", "RUNNING")],
            )
            return ""
        assert command.name == "allocate"
        state = make_state(self._service, *self._tasks.values())
        allocator = Allocator()
        lines = []
        for key in allocator.all_keys(state):
            plan = allocator.reconcile(state, key, seconds(1), counting_ids())
            for task in plan.update:
                assert isinstance(task, Task)
                self._tasks[task.id] = task
                lines.append(f"{task.id}: {task.status.state.spelled}, {task.status.message}")
        return "\n".join(lines) or "nothing to do"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, rewrite: bool) -> None:
    run_file(path, AllocatorScript().handle, rewrite=rewrite)
