"""An agent in a process of its own, to be killed: agent_process.py ENGINE_URL FOLDER TASK_JSON."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.networks import Networks
from cluster.agent.worker import Worker
from cluster.clock import SystemClock
from cluster.executor.engine import Engine
from cluster.executor.engine_networks import EngineNetworks
from cluster.executor.executor import DockerExecutor
from cluster.executor.network_process import NetworkProcessClient
from cluster.model.ids import ClusterId
from cluster.model.task import Task
from cluster.rpc.messages import AssignmentsMessage
from tests.support.local_states import local_state


async def main(url: str, folder: Path, task: Task) -> None:
    async with Engine(url) as engine, asyncio.TaskGroup() as group:
        files = AttachedFiles()
        cluster_id = ClusterId("testcluster")
        made = EngineNetworks(engine, cluster_id)
        networks = Networks(NetworkProcessClient(folder / "no network process"), made.tidy_up)
        executor = DockerExecutor(engine, cluster_id, files, folder / "files", networks, made)
        worker = Worker(executor, local_state(folder), SystemClock(), files, networks)
        group.create_task(executor.run())
        group.create_task(worker.run())
        await asyncio.sleep(0)
        worker.apply(AssignmentsMessage(sequence=0, is_complete=True, tasks=(task,)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Task)))
