"""The command `scripts/chaos`: random fault schedules over real hosts, and a judge of histories."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.seeds_command import seeds
from tests.support.chaos import Schedule
from tests.support.lab import Lab
from tests.support.lab_host import LabError
from tests.support.linearizability import check
from tests.support.manager_group import HOSTS, ManagerGroup


def main() -> int:
    """Run schedules; one line for each."""
    parser = argparse.ArgumentParser(
        prog="scripts/chaos",
        description="Kill, freeze and cut off managers while clients compare and set, and say"
        " whether what the clients saw is linearizable. Needs root.",
    )
    parser.add_argument("--seeds", type=seeds, required=True, metavar="A..B", help="both included")
    parser.add_argument("--name", default="chaos", help="of the lab")
    parser.add_argument("--subnet", default="10.82.0.0/24", help="of the lab")
    parser.add_argument("--keep", action="store_true", help="leave the lab up, for the next run")
    options = parser.parse_args()
    lab = Lab(options.name, subnet=options.subnet)
    failed = 0
    try:
        with tempfile.TemporaryDirectory(prefix="sy-chaos-") as folder:
            lab.up(len(HOSTS), stackd=True)
            group = ManagerGroup(lab, Path(folder))
            group.restore()
            for seed in options.seeds:
                failed += not one(group, seed)
    except LabError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            lab.down()
    print(f"{len(options.seeds)} schedules, {failed} failed")
    return 1 if failed else 0


def one(group: ManagerGroup, seed: int) -> bool:
    """Run one schedule and say how it went."""
    began = time.monotonic()
    schedule = Schedule(group, seed)
    try:
        wrong = check(schedule.run())
    except AssertionError as error:
        wrong = str(error)
    counts = Counter("read" if o.is_read else o.outcome for o in schedule.history)
    shown = ", ".join(f"{counts[key]} {key}" for key in ("read", "done", "refused", "unknown"))
    print(f"seed {seed}: {shown}, {time.monotonic() - began:.0f} s", flush=True)
    if wrong:
        print(wrong, "\n".join(schedule.faults), sep="\n", flush=True)
    return not wrong


if __name__ == "__main__":
    sys.exit(main())
