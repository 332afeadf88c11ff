"""The command `scripts/churn`: whether names keep up with a cluster that is never left alone."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.support.churn import Churn, Load, summary
from tests.support.cluster import HOSTS, Cluster
from tests.support.lab import Lab
from tests.support.lab_host import LabError


def main() -> int:
    """Run the steps; one line for each."""
    parser = argparse.ArgumentParser(
        prog="scripts/churn",
        description="Scale, update, kill and cut off under load, and measure after each step how"
        " long names take to lead to exactly the tasks that run, on every host. Needs root.",
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cut", type=float, nargs=2, default=(10, 30), metavar="SECONDS")
    parser.add_argument("--name", default="churn", help="of the lab")
    parser.add_argument("--subnet", default="10.83.0.0/24", help="of the lab")
    options = parser.parse_args()
    lab = Lab(options.name, subnet=options.subnet)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="sy-churn-") as folder:
            lab.up(len(HOSTS), stackd=True)
            cluster = Cluster(lab, Path(folder))
            cluster.restore()
            with Churn(cluster, options.seed, *options.cut) as churn:
                churn.deploy()
                with Load(cluster) as load:
                    _run(churn, options.steps)
    except (AssertionError, LabError) as error:
        print(f"churn: seed {options.seed}: {error}", file=sys.stderr)
        return 1
    finally:
        lab.down()
    print(summary(churn.steps))
    print(f"{load.answered} requests answered, {load.failed} not; {time.monotonic() - began:.0f} s")
    return 0


def _run(churn: Churn, count: int) -> None:
    """So many steps, a line for each."""
    for number in range(count):
        churn.run(1)
        step = churn.steps[-1]
        print(f"{number + 1}: {step.what}: {step.healed_s:.2f} s, {step.lag_s:.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
