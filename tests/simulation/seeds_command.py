"""Run the simulation of whole raft groups over many seeds; one line for each that fails.

scripts/simulate --seeds 0..9999             two families of groups for every seed
scripts/simulate --seeds 17 --members        repeat one, in the family whose members change
scripts/simulate --seeds 0..999 --store      whole stores with clients, whose histories are judged
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import structlog

from tests.simulation.raft_simulation import Simulation
from tests.simulation.store_simulation import StoreSimulation

STEPS = 1500
SILENT = logging.CRITICAL


def seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        return range(int(first), int(last if dots else first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: a seed, or a range like 0..9999") from None


def run(seed: int, family: str, steps: int) -> str:
    """Return the line of a seed that fails, "" when it is clean."""
    try:
        if family == "store":
            logging.disable()
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(SILENT))
            StoreSimulation(seed).play()
        else:
            simulation = Simulation(seed, changeable=family == "members")
            simulation.run(steps)
            simulation.heal()
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        again = f"scripts/simulate --seeds {seed}" + (f" --{family}" if family else "")
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"seed {seed}: {error!r} ({where}); again: {again}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=seeds, required=True, metavar="A..B", help="both included")
    parser.add_argument("--members", action="store_true", help="only groups whose members change")
    parser.add_argument("--store", action="store_true", help="only stores with clients")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"before healing; {STEPS}")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 1")
    options = parser.parse_args()
    begin = time.monotonic()
    chosen = [f for f, on in (("members", options.members), ("store", options.store)) if on]
    families = chosen or ["", "members"]
    work = [(seed, family) for seed in options.seeds for family in families]
    failed = 0
    for line in results(work, options.steps, options.jobs):
        if line:
            failed += 1
            print(line, flush=True)
    print(f"{len(work)} runs, {failed} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


def results(work: list[tuple[int, str]], steps: int, jobs: int) -> Iterator[str]:
    numbers, families = zip(*work, strict=True) if work else ((), ())
    if jobs == 1:
        yield from map(run, numbers, families, [steps] * len(work))
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, numbers, families, [steps] * len(work), chunksize=20)


if __name__ == "__main__":
    sys.exit(main())
