"""The agent and the executor on a real Docker Engine."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from cluster.agent.attached_files import AttachedFiles
from cluster.agent.worker import Worker
from cluster.clock import SystemClock
from cluster.executor.engine import Engine
from cluster.executor.executor import DockerExecutor
from cluster.model.config import Config, ConfigSpec
from cluster.model.container import (
    ConfigReference,
    ContainerSpec,
    FileTarget,
    HealthCheck,
    SecretReference,
)
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.ids import ClusterId, ConfigId, NodeId, SecretId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.secret import Secret, SecretSpec
from cluster.model.service import TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.model.units import MILLISECOND_NS, SECOND_NS
from cluster.rpc.messages import AssignmentsMessage
from tests.integration.conftest import RealEngine
from tests.support.fake_networks import no_networks
from tests.support.lab_host import ROOT
from tests.support.local_states import local_state

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    # docker SDK leaves a socket that was refused to the garbage collector (unixconn.py, connect)
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()  # while the filter above holds


S = TaskState
CLUSTER = ClusterId("testcluster")
SLEEP = ("sleep", "1000")
ONE = TaskId("task000000000000000000001")


def a_task(
    engine: RealEngine,
    task_id: TaskId = ONE,
    desired: TaskState = S.RUNNING,
    *,
    ports: tuple[PortConfig, ...] = (),
    **container: object,
) -> Task:
    settings = {"image": engine.image, "command": SLEEP, "stop_signal": "SIGKILL", **container}
    return Task(
        id=task_id,
        meta=Meta(),
        service_id=ServiceId("service"),
        service_name="web",
        slot=1,
        node_id=NodeId("node"),
        spec=TaskSpec(container_spec=ContainerSpec(**settings)),
        endpoint_spec=EndpointSpec(ports=ports),
        desired_state=desired,
        status=TaskStatus(state=S.ASSIGNED),
    )


class Node:
    """A worker on the engine."""

    def __init__(self, worker: Worker, executor: DockerExecutor) -> None:
        self.worker = worker
        self.executor = executor

    def assign(
        self, *tasks: Task, secrets: Sequence[Secret] = (), configs: Sequence[Config] = ()
    ) -> None:
        message = AssignmentsMessage(
            sequence=0,
            is_complete=True,
            tasks=tasks,
            secrets=tuple(secrets),
            configs=tuple(configs),
        )
        self.worker.apply(message)

    def status(self, task_id: TaskId = ONE) -> TaskStatus | None:
        return self.worker.reporter.newest.get(task_id)

    async def reaches(self, state: TaskState, task_id: TaskId = ONE) -> TaskStatus:
        """Wait for a state; one that cannot be reached any more fails at once."""
        await until(lambda: (s := self.status(task_id)) is not None and s.state >= state)
        status = self.status(task_id)
        assert status is not None
        assert status.state is state, status
        return status


async def until(condition: Callable[[], bool], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_node(
    engine: RealEngine, folder: Path, forbidden: frozenset[str] = frozenset()
) -> AsyncIterator[Node]:
    """A node's agent; to leave the context is to have it killed."""
    async with Engine(engine.url) as client, asyncio.TaskGroup() as group:
        files, networks = AttachedFiles(), no_networks()
        executor = DockerExecutor(
            client, CLUSTER, files, engine.shared / "files", networks, forbidden
        )
        worker = Worker(executor, local_state(folder), SystemClock(), files, networks)
        parts = [group.create_task(executor.run()), group.create_task(worker.run())]
        await asyncio.sleep(0)
        try:
            yield Node(worker, executor)
        finally:
            for part in parts:
                part.cancel()


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


async def ended(node: Node, task_id: TaskId = ONE) -> TaskStatus:
    await until(lambda: (s := node.status(task_id)) is not None and s.state.is_terminal)
    status = node.status(task_id)
    assert status is not None
    return status


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
        await node.worker.drop_all()
        assert engine.containers() == []


SECRET = Secret(id=SecretId("s"), meta=Meta(), spec=SecretSpec(name="pass", data=b"canary"))
CONFIG = Config(id=ConfigId("c"), meta=Meta(), spec=ConfigSpec(name="conf", data=b"setting"))


def with_files(engine: RealEngine, task_id: TaskId = ONE, **members: object) -> Task:
    secret = FileTarget(name="pass", uid="7", gid="8", mode=0o440)
    config = FileTarget(name="/etc/conf", uid="0", gid="0", mode=0o555)
    return a_task(
        engine,
        task_id,
        secrets=(SecretReference(file=secret, secret_id="s", secret_name="pass"),),
        configs=(ConfigReference(file=config, config_id="c", config_name="conf"),),
        **members,
    )


def mounted(engine: RealEngine) -> bool:
    return str(engine.shared / "files") in Path("/proc/self/mountinfo").read_text()


async def test_secrets_and_configs_are_files_while_the_task_runs(
    engine: RealEngine, tmp_path: Path
) -> None:
    show = (
        "stat -c '%n %u %g %a' /run/secrets/pass /etc/conf; cat /run/secrets/pass /etc/conf; "
        "(echo x >/etc/conf) 2>/dev/null || echo kept; exec sleep 1000"
    )
    async with a_node(engine, tmp_path) as node:
        task = with_files(engine, command=("sh", "-c", show))
        node.assign(task, secrets=(SECRET,), configs=(CONFIG,))
        status = await node.reaches(S.RUNNING)
        assert status.container is not None
        container = status.container.container_id
        await until(lambda: "kept" in engine.logs(container))
        assert (
            engine.logs(container)
            == "/run/secrets/pass 7 8 440\n/etc/conf 0 0 555\ncanarysettingkept\n"
        )
        assert mounted(engine)
        engine.api("POST", f"/containers/{container}/kill")
        await node.reaches(S.FAILED)
        assert not mounted(engine)


async def test_files_stay_while_the_agent_is_away_and_go_with_their_task(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(with_files(engine), secrets=(SECRET,), configs=(CONFIG,))
        await node.reaches(S.RUNNING)
        await asyncio.sleep(0.2)  # until the local state has been written
    assert mounted(engine)
    for kept in tmp_path.glob("agent.*"):
        assert b"canary" not in kept.read_bytes()
        assert b"Y2FuYXJ5" not in kept.read_bytes()
    async with a_node(engine, tmp_path) as node:
        await node.reaches(S.RUNNING)
        assert mounted(engine), "the container runs on with its files, though no manager spoke"
        node.assign()
        await until(lambda: not engine.containers())
        await until(lambda: not mounted(engine))


async def test_a_task_waits_for_its_files(engine: RealEngine, tmp_path: Path) -> None:
    async with a_node(engine, tmp_path) as node:
        node.assign(with_files(engine), secrets=(SECRET,))
        status = await node.reaches(S.REJECTED)
        assert status.error == "config conf not found: it was removed from the cluster"
        assert not mounted(engine)


async def test_files_of_a_task_that_cannot_be_made_go(engine: RealEngine, tmp_path: Path) -> None:
    async with a_node(engine, tmp_path) as node:
        task = with_files(engine, image="stackyard/nowhere:1")
        node.assign(task, secrets=(SECRET,), configs=(CONFIG,))
        await node.reaches(S.REJECTED)
        assert not mounted(engine)


async def test_a_node_that_forbids_its_own_files_takes_secrets(
    engine: RealEngine, tmp_path: Path
) -> None:
    async with a_node(engine, tmp_path, frozenset({"host-binds"})) as node:
        node.assign(with_files(engine), secrets=(SECRET,), configs=(CONFIG,))
        await node.reaches(S.RUNNING)
