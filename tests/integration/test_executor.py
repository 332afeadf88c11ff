"""The agent and the executor on a real Docker Engine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cluster.model.container import (
    HealthCheck,
)
from cluster.model.endpoint import PortConfig
from cluster.model.ids import TaskId
from cluster.model.task_state import TaskState
from cluster.model.units import MILLISECOND_NS, SECOND_NS
from tests.integration.conftest import RealEngine
from tests.integration.nodes import (
    MARKS,
    ONE,
    S,
    a_node,
    a_task,
    ended,
    until,
)
from tests.support.lab_host import ROOT
from tests.support.local_states import local_state

pytestmark = MARKS


async def test_the_node_is_described(engine: RealEngine, tmp_path: Path) -> None:
    async with a_node(engine, tmp_path) as node:
        description = await node.executor.describe()
        info = engine.api("GET", "/info")
        assert description.hostname == info["Name"]
        assert description.platform.architecture == info["Architecture"]
        assert description.resources.memory_bytes == info["MemTotal"]
        assert description.resources.nano_cpus == info["NCPU"] * 1_000_000_000
        assert "bridge" in {plugin.name for plugin in description.engine.plugins}
        assert await node.executor.describe() == description


async def test_a_task_runs_in_a_container_named_and_labelled_as_swarm_does(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path) as node:
        port = PortConfig(target_port=8080, publish_mode="host")
        node.assign(
            a_task(engine, ports=(port,), env=("WHO={{.Task.Slot}}@{{.Node.Hostname}}", "A=b"))
        )
        status = await node.reaches(S.RUNNING)
        (listed,) = engine.containers()
        found = engine.api("GET", f"/containers/{listed['Id']}/json")
        assert found["Name"] == f"/web.1.{ONE}"
        assert found["Config"]["Labels"]["com.docker.swarm.task.id"] == ONE
        assert found["Config"]["Labels"]["com.docker.swarm.task.name"] == f"web.1.{ONE}"
        hostname = engine.api("GET", "/info")["Name"]
        assert {f"WHO=1@{hostname}", "A=b"} <= set(found["Config"]["Env"])
        assert status.container is not None
        assert status.container.container_id == found["Id"]
        assert status.container.pid == found["State"]["Pid"]
        (bound,) = status.ports
        assert bound.target_port == 8080
        assert (
            str(bound.published_port)
            == (found["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"])
        )


async def test_a_removed_container_fails_its_task(engine: RealEngine, tmp_path: Path) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine))
        await node.reaches(S.RUNNING)
        engine.api("DELETE", f"/containers/web.1.{ONE}?force=1")
        status = await node.reaches(S.FAILED)
        assert status.error == "task: non-zero exit (137)"


async def test_a_container_started_again_by_hand_is_stopped(
    engine: RealEngine, tmp_path: Path
) -> None:
    trap = ("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")

    def state() -> str:
        found = engine.api("GET", f"/containers/web.1.{ONE}/json")["State"]
        return f"{found['Status']} since {found['StartedAt']}"

    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, command=trap, stop_signal="SIGTERM"))
        await node.reaches(S.RUNNING)
        engine.api("POST", f"/containers/web.1.{ONE}/restart")
        await node.reaches(S.FAILED)
        await until(lambda: state().startswith("exited"))
        before = state()
        engine.api("POST", f"/containers/web.1.{ONE}/start")
        await until(lambda: state().startswith("exited") and state() != before)
        await node.reaches(S.FAILED)


@pytest.mark.parametrize(
    ("script", "state", "error"),
    [
        ("exit 0", S.COMPLETE, ""),
        ("exit 7", S.FAILED, "task: non-zero exit (7)"),
    ],
)
async def test_the_exit_code_tells_how_a_task_ended(
    engine: RealEngine, tmp_path: Path, script: str, state: TaskState, error: str
) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, command=("sh", "-c", script)))
        status = await ended(node)
        assert (status.state, status.error) == (state, error)


async def test_a_stop_waits_for_the_container_and_its_grace_period_ends_it(
    engine: RealEngine, tmp_path: Path
) -> None:
    polite, deaf = TaskId("polite"), TaskId("deaf")
    trap = ("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    ignore = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    tasks = [
        a_task(engine, polite, command=trap, stop_signal="SIGTERM"),
        a_task(engine, deaf, command=ignore, stop_signal="", stop_grace_period=SECOND_NS),
    ]
    async with a_node(engine, tmp_path) as node:
        node.assign(*tasks)
        await node.reaches(S.RUNNING, polite)
        await node.reaches(S.RUNNING, deaf)
        began = time.monotonic()
        node.assign(
            a_task(engine, polite, S.SHUTDOWN, command=trap, stop_signal="SIGTERM"),
            a_task(
                engine,
                deaf,
                S.SHUTDOWN,
                command=ignore,
                stop_signal="",
                stop_grace_period=SECOND_NS,
            ),
        )
        await node.reaches(S.SHUTDOWN, polite)
        await node.reaches(S.SHUTDOWN, deaf)
        assert time.monotonic() - began >= 1.0
        codes = {
            c["Names"][0]: engine.api("GET", f"/containers/{c['Id']}/json")["State"]["ExitCode"]
            for c in engine.containers()
        }
        assert codes == {"/web.1.polite": 5, "/web.1.deaf": 137}
        node.assign()
        await until(lambda: engine.containers() == [])


async def test_a_missing_image_rejects_its_task(engine: RealEngine, tmp_path: Path) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, image="127.0.0.1:1/nosuchimage:1"))
        status = await ended(node)
        assert status.state is S.REJECTED
        assert status.error.startswith("No such image: 127.0.0.1:1/nosuchimage:1")
        assert status.message == "preparing"


async def test_a_command_that_does_not_exist_fails_at_the_start(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, command=("/no/such/program",)))
        status = await ended(node)
        assert status.state is S.FAILED
        assert status.error.startswith("starting container failed: ")
        assert "/no/such/program" in status.error


async def test_a_port_that_is_taken_fails_at_the_start(engine: RealEngine, tmp_path: Path) -> None:
    port = PortConfig(target_port=80, published_port=18080, publish_mode="host")
    two = TaskId("two")
    async with a_node(engine, tmp_path) as node:
        first = a_task(engine, ports=(port,))
        node.assign(first)
        await node.reaches(S.RUNNING)
        node.assign(first, a_task(engine, two, ports=(port,)))
        status = await ended(node, two)
        assert "port is already allocated" in status.error


async def test_a_health_check_decides_when_a_task_runs_and_when_it_fails(
    engine: RealEngine, tmp_path: Path
) -> None:
    check = HealthCheck(
        test=("CMD-SHELL", "test -e /tmp/well"), interval=200 * MILLISECOND_NS, retries=5
    )
    script = "sleep 0.5; mkdir -p /tmp; touch /tmp/well; sleep 2; rm /tmp/well; sleep 1000"
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, command=("sh", "-c", script), health_check=check))
        await node.reaches(S.STARTING)
        await node.reaches(S.RUNNING)
        status = await node.reaches(S.FAILED)
        assert status.error == "task: non-zero exit (137): dockerexec: unhealthy container"


async def test_a_prepared_task_is_created_and_not_started(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine, desired=S.READY))
        await node.reaches(S.READY)
        assert [c["State"] for c in engine.containers()] == ["created"]
        node.assign(a_task(engine))
        await node.reaches(S.RUNNING)


async def test_an_agent_that_was_killed_adopts_its_containers(
    engine: RealEngine, tmp_path: Path
) -> None:
    two = TaskId("two")
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine), a_task(engine, two))
        await node.reaches(S.RUNNING)
        await node.reaches(S.RUNNING, two)
        before = {c["Id"] for c in engine.containers()}
    engine.api("POST", f"/containers/web.1.{two}/kill")
    async with a_node(engine, tmp_path) as node:
        await node.reaches(S.FAILED, two)
        status = await node.reaches(S.RUNNING)
        assert status.container is not None
        assert {c["Id"] for c in engine.containers()} == before
        engine.api("POST", f"/containers/web.1.{ONE}/kill")
        await node.reaches(S.FAILED)


async def test_the_containers_of_a_killed_process_are_adopted_without_a_manager(
    engine: RealEngine, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.integration.agent_process",
        engine.url,
        str(tmp_path),
        msgspec.json.encode(a_task(engine)).decode(),
    ]
    state = local_state(tmp_path)

    def is_noted() -> bool:
        return any(u.status.state is S.RUNNING for u in state.load().statuses)

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            await until(is_noted)
        finally:
            process.kill()
    (before,) = engine.containers()
    async with a_node(engine, tmp_path) as node:
        status = await node.reaches(S.RUNNING)
        assert status.container is not None
        assert status.container.container_id == before["Id"]
        await asyncio.sleep(0.2)
        assert [c["Id"] for c in engine.containers()] == [before["Id"]]
        engine.api("DELETE", f"/containers/{before['Id']}?force=1")
        await node.reaches(S.FAILED)


async def test_an_agent_that_lost_its_state_adopts_by_name_and_sweeps_the_rest(
    engine: RealEngine, tmp_path: Path
) -> None:
    stray = TaskId("stray")
    foreign = engine.api(
        "POST",
        "/containers/create?name=foreign",
        {"Image": engine.image, "Labels": {"com.docker.swarm.task.id": "x"}},
    )["Id"]
    for folder, tasks in (("a", (ONE, stray)), ("b", (ONE,))):
        (tmp_path / folder).mkdir()
        async with a_node(engine, tmp_path / folder) as node:
            node.assign(*(a_task(engine, task_id) for task_id in tasks))
            for task_id in tasks:
                status = await node.reaches(S.RUNNING, task_id)
            if folder == "a":
                kept = {c["Id"] for c in engine.containers() if stray not in c["Names"][0]}
                continue
            await until(lambda: len(engine.containers()) == 2)
            assert {c["Id"] for c in engine.containers()} == kept
            assert foreign in kept
            assert status.container is not None
            assert status.container.container_id in kept


async def test_a_killed_engine_fails_no_task_until_it_says_so_itself(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine))
        await node.reaches(S.RUNNING)
        engine.kill()
        await asyncio.sleep(0.5)
        status = node.status()
        assert status is not None
        assert status.state is S.RUNNING
        engine.start()  # without live restore it stops what it finds running
        status = await ended(node)
        assert status.state is S.FAILED
        node.assign(a_task(engine, TaskId("next")))
        await node.reaches(S.RUNNING, TaskId("next"))


async def test_a_container_that_outlives_its_engine_stays_running(
    engine: RealEngine, tmp_path: Path
) -> None:
    engine.kill()
    engine.start("--live-restore")
    async with a_node(engine, tmp_path) as node:
        node.assign(a_task(engine))
        before = await node.reaches(S.RUNNING)
        engine.kill()
        engine.start("--live-restore")
        node.assign(a_task(engine), a_task(engine, TaskId("two")))
        await node.reaches(S.RUNNING, TaskId("two"))
        assert node.status() == before
        engine.api("POST", f"/containers/web.1.{ONE}/kill")
        await node.reaches(S.FAILED)
    engine.kill()


async def test_fifty_tasks_start_and_stop(engine: RealEngine, tmp_path: Path) -> None:
    ids = [TaskId(f"t{number:02}") for number in range(50)]
    async with a_node(engine, tmp_path) as node:
        node.assign(*(a_task(engine, task_id) for task_id in ids))
        for task_id in ids:
            await node.reaches(S.RUNNING, task_id)
        await node.worker.drop_all(60.0)
        assert engine.containers() == []
