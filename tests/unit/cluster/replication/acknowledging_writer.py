"""A process that writes to the store of a directory and prints what was acknowledged.

Usage: acknowledging_writer.py DIRECTORY WRITERS
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

import structlog

from cluster.clock import SystemClock
from cluster.replication.bootstrap import create_cluster, has_cluster, open_store
from cluster.replication.driver import DriverOptions
from cluster.replication.replicated_store import ReplicatedStore
from tests.unit.cluster.replication.cluster_in_one_process import create, names


async def main(directory: Path, writers: int) -> None:
    if not has_cluster(directory):
        create_cluster(directory, [])
    options = DriverOptions(snapshot_entries=200, kept_entries=10)
    store = open_store(directory, SystemClock(), options=options)
    async with asyncio.TaskGroup() as group:
        group.create_task(store.run())
        await store.wait_leader()
        print("holds", *names(store.view()), flush=True)
        numbers = itertools.count(len(store.view().networks))
        for _ in range(writers):
            group.create_task(write(store, numbers))


async def write(store: ReplicatedStore, numbers: itertools.count[int]) -> None:
    while True:
        print("acknowledged", await store.update(create(f"n{next(numbers)}")), flush=True)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
