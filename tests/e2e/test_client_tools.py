"""Other people's tools at work on a manager's socket, as `scripts/fetch-test-tools` fetches them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.client_host import ClientHost
from tests.support.cluster import HOSTS, MANAGER, Cluster, wait_for
from tests.support.free_port import free_port
from tests.support.lab_host import environment
from tests.support.tools import tool

SCRIPTS = Path(__file__).parent / "client_scripts"
IMAGE = "stackyard/test:1"
LOOPBACK = "127.0.0.1"


def endpoint(cluster: Cluster) -> str:
    return f"unix://{cluster.lab.host(MANAGER).stackd_socket}"


def run(command: list[str | Path], cluster: Cluster, folder: Path, **variables: str) -> str:
    env = {**environment(), "DOCKER_HOST": endpoint(cluster), "HOME": str(folder), **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@contextlib.contextmanager
def running(command: list[str | Path], folder: Path) -> Iterator[Path]:
    """Run a server as long as the context is open; gives its log."""
    log = folder / "server.log"
    env = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=env)
        try:
            yield log
        finally:
            process.terminate()
            process.wait(30)


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def test_an_ansible_playbook_changes_nothing_the_second_time(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = tool("ansible")
    variables = {
        "PYTHONPATH": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    command: list[str | Path] = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,"]
    command.append(SCRIPTS / "playbook.yml")

    def recap() -> dict[str, int]:
        line = run(command, cluster, tmp_path, **variables).strip().splitlines()[-1]
        return {k: int(v) for k, _, v in (word.partition("=") for word in line.split()) if v}

    first = recap()
    assert first["failed"] == 0
    assert first["changed"] >= 6
    cluster.wait_running("ansible_web", 2)
    assert recap()["changed"] == 0


def test_python_on_whales(cluster: Cluster, tmp_path: Path) -> None:
    variables = {"PYTHONPATH": str(tool("python-on-whales"))}
    said = run([sys.executable, SCRIPTS / "whales.py", IMAGE], cluster, tmp_path, **variables)
    assert said.splitlines()[-1] == "done"


def test_dockerode(cluster: Cluster, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs node (Debian: nodejs)")
    modules = tool("dockerode") / "node_modules"
    command: list[str | Path] = ["node", SCRIPTS / "dockerode.js"]
    command += [str(cluster.lab.host(MANAGER).stackd_socket), IMAGE]
    said = run(command, cluster, tmp_path, NODE_PATH=str(modules))
    assert said.splitlines()[-1] == "done"


WHO = """
import http.server, os, socket
class Who(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{socket.gethostname()} {self.headers['X-Forwarded-For']}".encode())
http.server.ThreadingHTTPServer(("", 8080), Who).serve_forever()
"""


def behind_traefik(cluster: Cluster) -> dict[str, Any]:
    """Traefik as a service of the stack, with the manager's socket, and servers it is to find."""
    tools = f"{tool('traefik')}:/tools:ro"
    socket_of_manager = f"{cluster.lab.host(MANAGER).stackd_socket}:/stackd.sock"
    options = [
        *(
            "--providers.swarm.endpoint=unix:///stackd.sock",
            "--providers.swarm.network=shop_default",
        ),
        *("--providers.swarm.exposedByDefault=false", "--providers.swarm.refreshSeconds=1"),
        *("--entryPoints.web.address=:80", "--log.level=DEBUG", "--global.checkNewVersion=false"),
    ]
    labels = {
        "traefik.enable": "true",
        "traefik.http.routers.web.rule": "PathPrefix(`/`)",
        "traefik.http.services.web.loadbalancer.server.port": "8080",
    }
    return {
        "traefik": {
            "image": IMAGE,
            "command": ["/tools/bin/traefik", *options],
            "volumes": [tools, socket_of_manager],
            "ports": ["80:80"],
            "deploy": {"placement": {"constraints": ["node.role == manager"]}},
        },
        "web": {
            "image": IMAGE,
            "command": ["python3", "-c", WHO],
            "deploy": {"replicas": 3, "labels": labels},
        },
    }


def test_traefik_finds_the_tasks_and_sees_the_visitor(cluster: Cluster) -> None:
    """At any node, through the published port and Traefik, to tasks on all hosts in turn."""
    cluster.deploy("shop", behind_traefik(cluster))
    script = (
        "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
    )
    with ClientHost(cluster.lab).plugged_in() as client:

        def asked(host: int) -> tuple[str, str]:
            done = client.run(sys.executable, "-c", script, f"http://{cluster.address(host)}/")
            name, _, visitor = done.stdout.strip().partition(" ")
            return name, visitor

        def tasks_are_found(host: int) -> bool:
            wanted = {c.id[:12] for c in cluster.containers("shop_web")}
            return {asked(host) for _ in range(6)} == {(name, client.address) for name in wanted}

        cluster.wait_running("shop_web", 3)
        for host in HOSTS:
            wait_for(f"all tasks through h{host}", partial(tasks_are_found, host))
        cluster.stack("service", "scale", "shop_web=1")
        cluster.wait_running("shop_web", 1)
        wait_for("the one that is left", partial(tasks_are_found, 3))
    logs = cluster.docker("service", "logs", "shop_traefik").stdout
    assert "Provider connection established with docker" in logs
    assert " ERR " not in logs


def test_prometheus_finds_nodes_services_and_tasks(cluster: Cluster, tmp_path: Path) -> None:
    program = tool("prometheus") / "usr/bin/prometheus"
    host = endpoint(cluster)
    jobs = [
        {"job_name": role, "dockerswarm_sd_configs": [{"host": host, "role": role, **period}]}
        for role in ("nodes", "services", "tasks")
        for period in [{"refresh_interval": "1s"}]
    ]
    config = tmp_path / "prometheus.json"
    config.write_text(json.dumps({"scrape_configs": jobs}))
    port = ("--publish", "mode=host,target=8080")
    create = ("service", "create", "--detach", "--no-resolve-image", *port, "--label", "tier=front")
    cluster.docker(*create, "--replicas", "2", "--name", "shop", IMAGE)
    cluster.wait_running("shop", 2)
    api = free_port()

    def targets(job: str) -> list[dict[str, str]]:
        found = ask(api, "/api/v1/targets")["data"]
        every = [*found["activeTargets"], *found["droppedTargets"]]
        return [one["discoveredLabels"] for one in every if one["discoveredLabels"]["job"] == job]

    command = [program, f"--config.file={config}", f"--web.listen-address={LOOPBACK}:{api}"]
    with running([*command, f"--storage.tsdb.path={tmp_path / 'data'}"], tmp_path):
        wait_for("the nodes", lambda: len(targets("nodes")) == 3)
        meta = "__meta_dockerswarm"
        assert {one[f"{meta}_node_hostname"] for one in targets("nodes")} == {"h1", "h2", "h3"}
        wait_for("the tasks", lambda: len(targets("tasks")) == 2)
        (first, _) = targets("tasks")
        assert first[f"{meta}_service_name"] == "shop"
        assert first[f"{meta}_service_label_tier"] == "front"
        assert first[f"{meta}_task_desired_state"] == "running"
