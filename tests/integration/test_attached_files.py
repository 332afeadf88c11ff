"""Secrets and configs of tasks on a real Docker Engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cluster.model.config import Config, ConfigSpec
from cluster.model.container import (
    ConfigReference,
    FileTarget,
    SecretReference,
)
from cluster.model.ids import ConfigId, SecretId, TaskId
from cluster.model.meta import Meta
from cluster.model.secret import Secret, SecretSpec
from cluster.model.task import Task
from tests.integration.conftest import RealEngine
from tests.integration.nodes import (
    MARKS,
    ONE,
    S,
    a_node,
    a_task,
    until,
)

pytestmark = MARKS


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
