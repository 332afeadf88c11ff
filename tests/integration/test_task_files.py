"""Files of tasks on real mounts."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.executor.attached_files import AttachedFile
from cluster.executor.task_files import TaskFiles
from cluster.model.ids import TaskId

pytestmark = pytest.mark.integration

ONE, TWO = TaskId("one"), TaskId("two")
FILE = AttachedFile(target="/run/secrets/a", content=b"canary", uid=7, gid=8, mode=0o440)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[TaskFiles]:
    files = TaskFiles(tmp_path / "tasks")
    yield files
    for task_id in files.task_ids:
        files.discard(task_id)


def _kind_of_filesystem(path: str) -> str:
    return subprocess.check_output(["stat", "-f", "-c", "%T", path], text=True).strip()


def test_files_lie_in_memory_with_owner_and_mode(files: TaskFiles, tmp_path: Path) -> None:
    files.write(ONE, (FILE, FILE))
    first, second = files.mounts(ONE, (FILE, FILE))
    assert first == {
        "Type": "bind",
        "Source": str(tmp_path / "tasks/one/0"),
        "Target": "/run/secrets/a",
        "ReadOnly": True,
    }
    for mount in (first, second):
        path = Path(mount["Source"])
        seen = path.stat()
        assert path.read_bytes() == b"canary"
        assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (7, 8, 0o440)
        assert _kind_of_filesystem(str(path)) == "tmpfs"
    assert stat.S_IMODE((tmp_path / "tasks").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "tasks/one").stat().st_mode) == 0o700


def test_nothing_is_left_of_discarded_files(files: TaskFiles, tmp_path: Path) -> None:
    files.write(ONE, (FILE,))
    files.write(TWO, (FILE,))
    assert files.task_ids == (ONE, TWO)
    assert files.has(ONE)
    files.discard(ONE)
    files.discard(ONE)
    assert files.task_ids == (TWO,)
    assert not files.has(ONE)
    assert not (tmp_path / "tasks/one").exists()
    assert "tasks/one" not in Path("/proc/self/mountinfo").read_text()


def test_files_are_discarded_though_somebody_reads_them(files: TaskFiles, tmp_path: Path) -> None:
    files.write(ONE, (FILE,))
    with (tmp_path / "tasks/one/0").open("rb") as opened:
        files.discard(ONE)
        assert files.task_ids == ()
        assert opened.read() == b"canary"


def test_writing_again_replaces(files: TaskFiles, tmp_path: Path) -> None:
    files.write(ONE, (FILE, FILE))
    files.write(ONE, (FILE,))
    assert [path.name for path in (tmp_path / "tasks/one").iterdir()] == ["0"]
    assert Path("/proc/self/mountinfo").read_text().count("tasks/one") == 1


def test_the_largest_config_fits(files: TaskFiles, tmp_path: Path) -> None:
    big = AttachedFile(target="/a", content=b"x" * 1_023_999, uid=0, gid=0, mode=0o400)
    files.write(ONE, (big,) * 3)
    assert (tmp_path / "tasks/one/2").stat().st_size == 1_023_999
