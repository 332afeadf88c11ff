"""What the documents tell people to type, typed; and the steps of their pipelines, run by a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.certificates import TestAuthority
from tests.support.cluster import MANAGER, Cluster, wait_for
from tests.support.lab_host import ROOT, environment
from tests.support.ssh_server import ssh_server
from tests.support.typed_commands import blocks, replaced

RUNNER = 2  # the host from which a pipeline reaches the manager
SWARM = 3  # the host whose engine is a Docker Swarm by itself
PASSWORD = "canary-of-the-documents"

COMPOSE = """
services:
  web:
    image: stackyard/test:1
    environment: {EDITION: "%d"}
    secrets: [pass]
    deploy:
      restart_policy: {condition: any, delay: 1s}
      update_config: {monitor: 1s}
secrets: {pass: {environment: DB_PASSWORD}}
"""


def script(block: str) -> str:
    """A block as a script that ends with the first command that fails; 10 means differences."""
    lines = []
    for line in block.splitlines():
        is_question = line.startswith("stack diff") or "--dry-run" in line
        lines.append(f"{line} || [ $? -eq 10 ]" if is_question and "||" not in line else line)
    return "\n".join(["set -eu", *lines])


class Desk:
    """A folder with a compose file, and a shell that has the client in its path."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.edition = 0
        self.edit()

    def edit(self) -> None:
        """Change the compose file, so that there is something to deploy."""
        self.edition += 1
        (self.folder / "docker-compose.yml").write_text(COMPOSE % self.edition)

    def run(self, text: str, env: Mapping[str, str] | None = None) -> str:
        """Run a script beside the lab, against the manager's socket."""
        socket = self.cluster.lab.host(MANAGER).stackd_socket
        settings = {"DOCKER_HOST": f"unix://{socket}", "DB_PASSWORD": PASSWORD, **(env or {})}
        done = subprocess.run(
            ["sh", "-c", text], cwd=self.folder, env=self._env(settings),
            capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def run_in(self, host: int, text: str, env: Mapping[str, str], folder: Path) -> str:
        """Run a script inside a host of the lab, in a folder of this machine."""
        (folder / "script.sh").write_text(text)
        done = subprocess.run(
            self.cluster.lab.argv_in(
                host, "sh", "-c", 'cd "$1" && exec sh ./script.sh', "sh", str(folder)
            ),
            env=self._env(env), capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        return {**environment(), "PATH": path, "DOCKER_CONFIG": str(self.folder), **more}

    def shown_edition(self) -> str:
        """The edition that serves."""
        [container] = self.cluster.wait_running("shop_web", 1)
        found = self.cluster.inspect(container)["Config"]["Env"]
        return next(text for text in found if text.startswith("EDITION="))


@pytest.fixture
def desk(cluster: Cluster, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "shop"
    folder.mkdir()
    yield Desk(cluster, folder)
    cluster.stack("rm", "shop", code=None)


@pytest.fixture
def tls(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A client's certificate in a folder; the manager serves TCP with mutual TLS."""
    authority = TestAuthority()
    address = cluster.address(MANAGER)
    server = authority.fill(tmp_path / "server", address=address)
    files = [f"--tls{name}={server / file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))]  # fmt: skip
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER, "--host", f"tcp://{address}:2376", "--accept-tokens", *files)
    wait_for("the manager to lead", lambda: cluster.api("GET", "/swarm"))
    yield authority.fill(tmp_path / "client")
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)


@pytest.mark.timeout(600)
def test_the_commands_of_deploying(desk: Desk) -> None:
    for block in blocks("docs/deploy.md", "sh"):
        if "rollback" in block:
            for _ in range(4):
                desk.edit()
                desk.run("stack deploy -c docker-compose.yml --stable 0 shop")
        desk.edit()
        desk.run(script(block))


@pytest.mark.timeout(600)
def test_the_commands_of_a_pipeline(desk: Desk, tls: Path, tmp_path: Path) -> None:
    address = desk.cluster.address(MANAGER)
    socket = str(desk.cluster.lab.host(MANAGER).stackd_socket)
    at_the_manager = {
        "PATH": f"{ROOT / '.venv/bin'}:/usr/bin:/bin",
        "DOCKER_HOST": f"unix://{socket}",
    }
    token = ""
    desk.run("stack deploy -c docker-compose.yml --stable 0 shop")
    with ssh_server(tmp_path / "ssh", at_the_manager) as url:
        words = {
            "ssh://deploy@manager.example.net": url,
            "manager.example.net": address,
            "/run/stackyard/stackd.sock": socket,
        }
        for block in blocks("docs/ci.md", "sh"):
            desk.edit()
            text = replaced(script(block), words)
            if "token create" in block:
                token = desk.run(text).split()[-1]
            elif "tcp://" in block:
                put = f"rm -rf /run/ci; mkdir /run/ci; cp -r {tls} /run/ci/tls; echo {token} >/run/ci/token\n"
                env = {"DB_PASSWORD": PASSWORD}
                assert "shop_web" in desk.run_in(RUNNER, put + text, env, desk.folder)
            else:
                path = f"{tmp_path / 'ssh/bin'}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
                desk.run(text, {"PATH": path})
    desk.run("stack token rm ci")


def test_the_job_of_github_actions(desk: Desk, tls: Path) -> None:
    [document] = [b for b in blocks("docs/ci.md", "yaml") if "runs-on" in b]
    secrets = {
        "DB_PASSWORD": PASSWORD,
        "STACK_CA": (tls / "ca.pem").read_text(),
        "STACK_CERT": (tls / "cert.pem").read_text(),
        "STACK_KEY": (tls / "key.pem").read_text(),
    }
    known = {f"secrets.{name}": value for name, value in secrets.items()}
    known["github.workspace"] = str(desk.folder)

    def filled(text: str) -> str:
        text = text.replace("manager.example.net", desk.cluster.address(MANAGER))
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], text)

    job = yaml.safe_load(document)["jobs"]["deploy"]
    env = {name: filled(str(value)) for name, value in job["env"].items()}
    for step in job["steps"]:
        if "run" in step:
            desk.run_in(RUNNER, f"set -e\n{filled(step['run'])}", env, desk.folder)
    assert desk.shown_edition() == "EDITION=1"


def test_the_jobs_of_gitlab(desk: Desk, tls: Path, tmp_path: Path) -> None:
    [document] = [b for b in blocks("docs/ci.md", "yaml") if "stages" in b]
    pipeline: dict[str, Any] = yaml.safe_load(document)
    env = {
        "DOCKER_HOST": f"tcp://{desk.cluster.address(MANAGER)}:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tls),
        "DB_PASSWORD": PASSWORD,
    }
    kept: list[Path] = []
    for stage in pipeline["stages"]:
        for name, job in pipeline.items():
            if name == "stages" or job["stage"] != stage:
                continue
            checkout = tmp_path / name  # each job begins with the files and the artifacts
            shutil.copytree(desk.folder, checkout)
            for artifact in kept:
                shutil.copy(artifact, checkout)
            desk.run_in(RUNNER, "\n".join(["set -e", *job["script"]]), env, checkout)
            kept += [checkout / path for path in job.get("artifacts", {}).get("paths", ())]
    assert desk.shown_edition() == "EDITION=1"


@pytest.fixture
def swarm(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """One host's engine as a Docker Swarm by itself; gives the cluster of the other two."""
    cluster.stack("cluster", "leave", "--force", host=SWARM)
    cluster.lab.kill_stackd(SWARM)
    engine = f"unix://{cluster.lab.host(SWARM).engine_socket}"
    docker = ["docker", "-H", engine]
    subprocess.run([*docker, "swarm", "init", "--advertise-addr", cluster.address(SWARM)], check=True, capture_output=True)  # fmt: skip
    yield Cluster(cluster.lab, tmp_path, (MANAGER, RUNNER))
    subprocess.run([*docker, "swarm", "leave", "--force"], check=False, capture_output=True)
    cluster.lab.start_stackd(SWARM)


RUNNING = """
version: "3.8"
services:
  web:
    image: stackyard/test:1
    environment: {GREETING: "costs 5$$"}
    secrets: [{source: pass, target: p, mode: 0400}]
    configs: [{source: conf, target: /etc/conf}]
    networks: [front]
    deploy:
      replicas: 2
      restart_policy: {condition: any, delay: 1s}
      update_config: {parallelism: 0, monitor: 1s}
      resources: {limits: {memory: 64M}}
  seldom:
    image: stackyard/test:1
    deploy: {mode: global}
    networks: [front]
secrets: {pass: {file: ./pass.txt}}
configs: {conf: {file: ./conf.txt}}
networks: {front: {attachable: true}}
"""


@pytest.mark.timeout(600)
def test_a_stack_moves_from_a_real_swarm(swarm: Cluster, desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "docker-compose.yml").write_text(RUNNING)
    (source / "pass.txt").write_text(PASSWORD)
    (source / "conf.txt").write_text("level=$3")
    local = {"DOCKER_HOST": "unix:///var/run/docker.sock"}
    deploy = "docker stack deploy -c docker-compose.yml --resolve-image never shop"
    desk.run_in(SWARM, f"{deploy} 2>&1", local, source)
    compose, reading, creating = blocks("docs/migrate.md", "sh")
    assert "stack check" in compose
    said = desk.run_in(SWARM, script(reading), {}, desk.folder)
    assert "shop_pass" in said
    written = (desk.folder / "shop" / "docker-compose.yml").read_text()
    assert PASSWORD not in written
    desk.run(script(creating), {"PASSWORD": PASSWORD})
    assert {row["Name"] for row in swarm.rows("services", "shop")} == {"shop_web", "shop_seldom"}
    assert len(swarm.wait_running("shop_seldom", 2)) == 2, "global: on both hosts of the cluster"
    for container in swarm.wait_running("shop_web", 2):
        where = {"host": container.host}
        read = swarm.docker("exec", container.id, "cat", "/run/secrets/p", **where)
        assert read.stdout == PASSWORD
        read = swarm.docker("exec", container.id, "cat", "/etc/conf", **where)
        assert read.stdout == "level=$3"
        shown = swarm.inspect(container)
        assert "GREETING=costs 5$" in shown["Config"]["Env"]
        assert shown["HostConfig"]["Memory"] == 64 << 20
    with swarm.unchanged("shop_web", "shop_seldom"):
        desk.run("stack deploy -c shop/docker-compose.yml --stable 0")
    desk.run_in(SWARM, "docker stack rm shop 2>&1", local, source)
    assert "shop_front" in [one["Name"] for one in swarm.api("GET", "/networks")]


def test_a_compose_project_of_one_host_is_deployed(desk: Desk) -> None:
    compose, *_ = blocks("docs/migrate.md", "sh")
    desk.run(script(compose))
    assert desk.shown_edition() == "EDITION=1"
