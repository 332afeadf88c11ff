"""A manager's disk that is full: the process stops, says why, and has lost nothing afterwards."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITER = ROOT / "tests/unit/cluster/replication/acknowledging_writer.py"
SIZE = "80m"  # a segment of the log and some snapshots


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


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
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def test_a_full_disk_stops_the_process_and_costs_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with writer(small_disk / "raft") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        fill(ballast)
        output, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "FatalStorageError" in complaint
    assert "No space left on device" in complaint
    assert "snapshots" in complaint  # it says where
    whole = output[: output.rfind("\n") + 1].splitlines()
    acknowledged = {line.split()[1] for line in [*lines, *whole] if line.startswith("ack")}
    assert len(acknowledged) >= 40

    ballast.unlink()
    with writer(small_disk / "raft") as process:
        assert process.stdout is not None
        held = set(process.stdout.readline().split()[1:])
        process.kill()
        process.communicate()
    assert acknowledged <= held
