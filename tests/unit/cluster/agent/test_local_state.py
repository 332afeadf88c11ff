from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import msgspec
import pytest

from cluster.agent.local_state import FILE_NAME, Snapshot
from cluster.errors import FatalStorageError
from cluster.model.container import ContainerSpec
from cluster.model.task import TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import TaskStatusUpdate
from tests.support.local_states import file_key, local_state
from tests.unit.cluster.agent.tasks import a_task

TASK = a_task("one")
SNAPSHOT = Snapshot(
    tasks=(TASK,),
    statuses=(TaskStatusUpdate(task_id=TASK.id, status=TaskStatus(state=TaskState.RUNNING)),),
)


async def written(folder: Path, snapshot: Snapshot) -> None:
    state = local_state(folder)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(state.run())
        await asyncio.sleep(0)
        state.changed(lambda: snapshot)
        running.cancel()


async def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    await written(tmp_path, SNAPSHOT)
    assert local_state(tmp_path).load() == SNAPSHOT


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    await written(tmp_path, SNAPSHOT)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_changes_are_written_while_it_runs(tmp_path: Path) -> None:
    state = local_state(tmp_path)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(state.run())
        state.changed(lambda: SNAPSHOT)
        async with asyncio.timeout(10):
            while not (tmp_path / FILE_NAME).exists():
                await asyncio.sleep(0.01)
        assert local_state(tmp_path).load() == SNAPSHOT
        running.cancel()


async def test_values_of_variables_are_not_found_on_the_disk(tmp_path: Path) -> None:
    container = ContainerSpec(image="app:1", env=("PASSWORD=canary",))
    spec = msgspec.structs.replace(TASK.spec, container_spec=container)
    await written(tmp_path, Snapshot(tasks=(msgspec.structs.replace(TASK, spec=spec),)))
    assert not [path for path in tmp_path.iterdir() if b"canary" in path.read_bytes()]
    [kept] = local_state(tmp_path).load().tasks
    assert kept.spec.container_spec == container


async def test_what_another_key_has_sealed_is_put_aside(tmp_path: Path) -> None:
    await written(tmp_path, SNAPSHOT)
    (tmp_path / "key").unlink()
    assert local_state(tmp_path).load() == Snapshot()


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert local_state(tmp_path).load() == Snapshot()


def test_a_broken_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"tasks": [')
    assert local_state(tmp_path).load() == Snapshot()
    assert (tmp_path / "agent.broken").exists()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(file_key(tmp_path).seal(b'{"format": 99}'))
    with pytest.raises(FatalStorageError, match="newer version"):
        local_state(tmp_path).load()
