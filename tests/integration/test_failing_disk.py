"""A manager's disk that is full or fails: the process stops, says why, and has lost nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITER = ROOT / "tests/unit/cluster/replication/acknowledging_writer.py"
SIZE = "80m"  # a segment of the log and some snapshots
PROMISED = "300m"  # what a device says it has that has no more than SIZE


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def thin_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system on a device that refuses blocks once the space behind it is used up.

    Gives both: the file system, and the space behind its device.
    """
    behind, disk = tmp_path / "behind", tmp_path / "disk"
    behind.mkdir()
    disk.mkdir()
    image = behind / "image"
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", behind], check=True)
    try:
        subprocess.run(["truncate", "-s", PROMISED, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, disk], check=True)
        yield disk, behind
        subprocess.run(["umount", "--lazy", disk], check=True)
    finally:
        subprocess.run(["umount", "--lazy", behind], check=True)  # the device goes a bit later


def writer(directory: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(directory), "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def fill(path: Path) -> None:
    assert write_until_refused(path) == errno.ENOSPC


def write_until_refused(path: Path) -> int | None:
    """Write durably until that fails; the number of the error."""
    try:
        with path.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
                os.fsync(file.fileno())
    except OSError as error:
        return error.errno


def test_a_full_disk_stops_the_process_and_costs_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with writer(small_disk / "raft") as process:
        acknowledged = some_acknowledged(process)
        fill(ballast)
        acknowledged |= until_it_stops(process, ["No space left on device", "snapshots"])
    ballast.unlink()
    assert acknowledged <= held(small_disk / "raft")


def test_a_failing_disk_stops_the_process_and_costs_nothing(thin_disk: tuple[Path, Path]) -> None:
    disk, behind = thin_disk
    with writer(disk / "raft") as process:
        acknowledged = some_acknowledged(process)
        fill(behind / "ballast")
        # The file system's own journal meets the device's error first: from then on it fails.
        write_until_refused(disk / "other")
        acknowledged |= until_it_stops(process, [str(disk / "raft"), "check the disk"])
    with rescued(behind / "image", disk.with_name("rescued")) as other:
        assert acknowledged <= held(other / "raft")


@contextmanager
def rescued(image: Path, disk: Path) -> Iterator[Path]:
    """Copy a failed device's blocks to a healthy one, check its file system and mount it."""
    copy = disk.with_suffix(".image")
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    checked = subprocess.run(["e2fsck", "-fy", copy], capture_output=True, text=True, check=False)
    assert checked.returncode in {0, 1}, checked.stdout  # 1: errors were corrected
    disk.mkdir()
    subprocess.run(["mount", "-o", "loop", copy, disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def some_acknowledged(process: subprocess.Popen[str]) -> set[str]:
    assert process.stdout is not None
    return names([process.stdout.readline() for _ in range(50)])


def until_it_stops(process: subprocess.Popen[str], words: list[str]) -> set[str]:
    """What it acknowledges until it stops by itself, with these words."""
    output, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    for word in ["FatalStorageError", *words]:
        assert word in complaint
    return names(output[: output.rfind("\n") + 1].splitlines())


def names(lines: list[str]) -> set[str]:
    return {line.split()[1] for line in lines if line.startswith("ack")}


def held(directory: Path) -> set[str]:
    """What a new process finds."""
    with writer(directory) as process:
        assert process.stdout is not None
        found = set(process.stdout.readline().split()[1:])
        process.kill()
        _, complaint = process.communicate()
    assert len(found) >= 40, complaint
    return found
