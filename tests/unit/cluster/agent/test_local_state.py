from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from cluster.agent.local_state import FILE_NAME, LocalState, Snapshot
from cluster.errors import FatalStorageError
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import TaskStatusUpdate
from tests.unit.cluster.agent.tasks import a_task

TASK = a_task("one")
SNAPSHOT = Snapshot(
    tasks=(TASK,),
    statuses=(TaskStatusUpdate(task_id=TASK.id, status=TaskStatus(state=TaskState.RUNNING)),),
)


async def written(folder: Path, snapshot: Snapshot) -> None:
    state = LocalState(folder)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(state.run())
        await asyncio.sleep(0)
        state.changed(lambda: snapshot)
        running.cancel()


async def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    await written(tmp_path, SNAPSHOT)
    assert LocalState(tmp_path).load() == SNAPSHOT


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    await written(tmp_path, SNAPSHOT)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_changes_are_written_while_it_runs(tmp_path: Path) -> None:
    state = LocalState(tmp_path)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(state.run())
        state.changed(lambda: SNAPSHOT)
        async with asyncio.timeout(10):
            while not (tmp_path / FILE_NAME).exists():
                await asyncio.sleep(0.01)
        assert LocalState(tmp_path).load() == SNAPSHOT
        running.cancel()


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert LocalState(tmp_path).load() == Snapshot()


def test_a_broken_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"tasks": [')
    assert LocalState(tmp_path).load() == Snapshot()
    assert (tmp_path / "agent.broken").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"format": 99}')
    with pytest.raises(FatalStorageError, match="newer version"):
        LocalState(tmp_path).load()
