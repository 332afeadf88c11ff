"""`stack deploy` against a real Docker Swarm, which knows nothing of our extensions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.compose.yaml_writer import write_yaml
from tests.support.lab import Lab
from tests.support.lab_host import ROOT

LIMIT_S = 240
CRASH = ["sh", "-c", "echo no table; exit 3"]
QUICK = {"failure_action": "rollback", "monitor": "6s"}


class Swarm:
    def __init__(self, lab: Lab, folder: Path) -> None:
        self._host = f"unix://{lab.host(1).engine_socket}"
        self._file = folder / "docker-compose.yml"

    def stack(self, *arguments: str, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [str(ROOT / ".venv/bin/stack"), "-H", self._host, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **variables},
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def deploy(self, *, code: int = 0, secret: str = "", **service: Any) -> str:
        deploy = {"endpoint_mode": "dnsrr", "update_config": QUICK, **service.pop("deploy", {})}
        web = {"image": "stackyard/hello:1", "deploy": deploy, **service}
        content: dict[str, Any] = {
            "services": {"web": web},
            "networks": {"default": {"external": True, "name": "bridge"}},
        }
        if secret:
            web["secrets"] = ["pass"]
            content["secrets"] = {"pass": {"environment": "PASS"}}
        self._file.write_text(write_yaml(content))
        options = ("--resolve-image", "never", "--prune", "-c", str(self._file))
        return self.stack("deploy", *options, "shop", code=code, PASS=secret)


@pytest.fixture
def swarm(empty_swarm: Swarm) -> Iterator[Swarm]:
    yield empty_swarm
    empty_swarm.stack("rm", "shop")


@pytest.fixture(scope="module")
def empty_swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    with Lab("swarm", subnet="10.77.9.0/24") as lab:
        lab.down()
        lab.up(1)
        lab.swarm(1)
        yield Swarm(lab, tmp_path_factory.mktemp("swarm"))
        lab.unswarm()


@pytest.mark.timeout(LIMIT_S)
def test_updates_rollbacks_and_secrets(swarm: Swarm) -> None:
    assert "shop_web: 1/1 running" in swarm.deploy(secret="one")
    assert "is unchanged" in swarm.deploy(secret="one")
    said = swarm.deploy(secret="one", entrypoint=CRASH, code=3)
    assert "(exit code 3)" in said
    assert "| no table" in said
    assert "Creating secret shop_pass-" in swarm.deploy(secret="two")
    assert swarm.stack("secret", "ls").count("shop_pass") == 2, "one for a rollback"
    assert "Removing secret" in swarm.deploy(secret="three")
    assert "the server keeps no revisions" in swarm.stack("history", "shop", code=1)
    swarm.stack("rm", "shop")
    assert "shop" not in swarm.stack("secret", "ls")


@pytest.mark.timeout(LIMIT_S)
def test_what_never_runs_and_what_runs_once(swarm: Swarm) -> None:
    swarm.deploy(image="nowhere/missing:1", code=1)
    swarm.stack("rm", "shop")
    placement = {"constraints": ["node.labels.disk == gold"]}
    assert "no suitable node" in swarm.deploy(deploy={"placement": placement}, code=4)
    swarm.stack("rm", "shop")
    once = {"restart_policy": {"condition": "none"}}
    swarm.deploy(entrypoint=["true"], deploy=once)
    swarm.stack("rm", "shop")
    assert "| no table" in swarm.deploy(entrypoint=CRASH, deploy=once, code=1)
    swarm.stack("rm", "shop")
