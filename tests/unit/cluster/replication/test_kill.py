"""Nothing acknowledged is lost when the process is killed at a random moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]
WRITER = Path(__file__).with_name("acknowledging_writer.py")
ROUNDS = 6
MOST_AWAITED = 101
"""Lines after which a writer is killed, and a little later."""


@pytest.mark.parametrize("writers", [1, 16])
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, writers: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        # A later one may also die while it starts, before it has written a line.
        at_least = MOST_AWAITED if number == 0 else dice.choice((0, dice.randrange(MOST_AWAITED)))
        lines = run_and_kill(tmp_path / "raft", writers, dice, at_least)
        if lines and lines[0].startswith("holds"):
            held = lines[0].split()[1:]
            assert acknowledged <= set(held), f"lost: {acknowledged - set(held)}"
            # Entries are a log: what survives of the rest has no gaps either.
            assert sorted(held, key=lambda name: int(name[1:])) == [
                f"n{i}" for i in range(len(held))
            ]
        acknowledged |= {line.split()[1] for line in lines[1:] if len(line.split()) == 2}
    assert len(acknowledged) >= MOST_AWAITED - 1  # the first line is no acknowledgement


def run_and_kill(directory: Path, writers: int, dice: random.Random, at_least: int) -> list[str]:
    """Return the whole lines that the writer printed before it was killed, after so many of them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(WRITER), str(directory), str(writers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(at_least)]
        time.sleep(dice.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        output = b"".join(first) + process.stdout.read()
    return output.decode().split("\n")[:-1]
