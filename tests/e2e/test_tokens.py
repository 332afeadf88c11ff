"""Deploy tokens with both clients, over TLS without a certificate, on real engines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import TestAuthority
from tests.support.cluster import MANAGER, Cluster, idle, wait_for

PORT = 2376
CLIENT = 2  # the host on which the pipeline's commands run
QUICK = {"update_config": {"monitor": "1s", "parallelism": 0}}


@pytest.fixture
def folder(cluster: Cluster) -> Iterator[Path]:
    """A pipeline's folder with the authority's certificate; the manager serves on TCP."""
    made = Path(cluster.docker_config) / "pipeline"
    authority = TestAuthority()
    address = cluster.address(MANAGER)
    server = authority.fill(Path(cluster.docker_config) / "server", address=address)
    made.mkdir()
    (made / "ca.pem").write_bytes((server / "ca.pem").read_bytes())
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(
        MANAGER,
        *("--host", f"tcp://{address}:{PORT}", "--accept-tokens"),
        *("--tlscacert", str(server / "ca.pem"), "--tlscert", str(server / "cert.pem")),
        *("--tlskey", str(server / "key.pem")),
    )
    wait_for("the nodes to be ready", lambda: all(
        one["Status"]["State"] == "ready" for one in cluster.api("GET", "/nodes")
    ))  # fmt: skip
    yield made
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)
    for one in cluster.rows("token", "ls"):
        cluster.stack("token", "rm", one["Name"])


class Pipeline:
    """Commands on another host, which has a token and no certificate."""

    def __init__(self, cluster: Cluster, folder: Path, token: str) -> None:
        self._cluster, self._folder, self._token = cluster, folder, token
        self.set_header(token)

    def set_header(self, token: str) -> None:
        """What the stock client sends with each request."""
        config = {"HttpHeaders": {"Authorization": f"Bearer {token}"}}
        (self._folder / "config.json").write_text(json.dumps(config))

    def __call__(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            "env",
            f"DOCKER_HOST=tcp://{self._cluster.address(MANAGER)}:{PORT}",
            "DOCKER_TLS_VERIFY=1",
            f"DOCKER_CERT_PATH={self._folder}",
            f"DOCKER_CONFIG={self._folder}",
            *([f"STACK_TOKEN={self._token}"] if program != "docker" else []),
            program,
            *arguments,
        ]
        return self._cluster.lab.enter(CLIENT, *command, check=False)

    def ok(self, program: str, *arguments: str) -> str:
        done = self(program, *arguments)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refused(self, message: str, program: str, *arguments: str) -> None:
        done = self(program, *arguments)
        assert done.returncode != 0, f"{arguments}: {done.stdout}"
        assert message in done.stderr, f"{arguments}: {done.stderr}"


def test_a_pipeline_deploys_its_stack_and_nothing_else(cluster: Cluster, folder: Path) -> None:
    stack = str(Path(".venv/bin/stack").absolute())
    text = cluster.stack("token", "create", "ci", "--stack", "shop", "--expires", "1d").stdout
    pipeline = Pipeline(cluster, folder, text.strip())
    (folder / "pass").write_text("canary-of-the-token")
    services = {"web": {**idle(replicas=2, **QUICK), "secrets": ["pass"]}, "api": idle(**QUICK)}
    content = {
        "version": "3.8",
        "services": services,
        "secrets": {"pass": {"file": str(folder / "pass")}},
    }
    file = cluster.compose_file(content)
    cluster.deploy("other", {"web": idle(**QUICK)})

    quick = ("--stable", "0", "--resolve-image", "never")
    pipeline.ok(stack, "deploy", "-c", file, *quick, "shop")
    cluster.wait_running("shop_web", 2)
    assert [one["Author"] for one in cluster.rows("history", "shop")] == ["token ci"]
    assert "shop_web" in pipeline.ok(stack, "services", "shop")
    assert "shop" in pipeline.ok(stack, "ls")
    assert "other" not in pipeline.ok(stack, "ls")
    pipeline.ok(stack, "wait", "shop")
    pipeline.ok(stack, "status", "shop")
    pipeline.ok(stack, "history", "shop")
    pipeline.ok(stack, "ps", "shop")

    # the stock client, with the header
    (folder / "pass").write_text("another")
    pipeline.ok("docker", "stack", "deploy", "-c", file, "--resolve-image", "never", "shop")
    wait_for("the update", lambda: "another" in {
        cluster.docker("exec", one.id, "cat", "/run/secrets/pass", host=one.host, code=None).stdout
        for one in cluster.containers("shop_web")
    })  # fmt: skip
    assert "shop_web" in pipeline.ok("docker", "stack", "services", "shop")
    assert "shop_web" in pipeline.ok("docker", "stack", "ps", "shop")
    assert "other_web" not in pipeline.ok("docker", "service", "ls")

    # what is not the pipeline's
    may_not = "deploy token ci may only deploy shop, and may not "
    for program in (stack, "docker"):
        pipeline.refused(may_not, program, "service", "rm", "other_web")
    pipeline.refused(may_not, stack, "deploy", "-c", file, *quick, "other")
    pipeline.refused(may_not, "docker", "stack", "deploy", "-c", file, "other")
    pipeline.refused(may_not, stack, "cluster", "token", "worker")
    pipeline.refused(may_not, "docker", "swarm", "join-token", "worker")
    pipeline.refused(may_not, stack, "token", "ls")
    pipeline.refused(may_not, "docker", "ps")
    pipeline.refused(may_not, "docker", "run", "--rm", "stackyard/test:1", "true")
    container = cluster.containers("shop_api")[0]
    pipeline.refused(may_not, "docker", "exec", container.id, "true")
    binding = {**idle(), "volumes": ["/:/host"]}
    bad = cluster.compose_file({"services": {"web": binding}})
    pipeline.refused("--allow host-binds", stack, "deploy", "-c", bad, *quick, "shop")
    assert cluster.service_names() == {"shop_web", "shop_api", "other_web"}

    # without, or with a wrong one
    pipeline.set_header("stk_nonsense")
    pipeline.refused("no deploy token", "docker", "service", "ls")
    (folder / "config.json").unlink()
    pipeline.refused("needs a deploy token", "docker", "service", "ls")

    pipeline.ok(stack, "rollback", "--stable", "0", "shop", "1")
    pipeline.ok(stack, "rm", "shop")
    assert cluster.service_names() == {"other_web"}

    # taken back, and at once
    cluster.stack("token", "rm", "ci")
    pipeline.refused("rotated or removed", stack, "ls")

    everything = cluster.rows("audit", "--limit", "0")
    mine = [one for one in everything if one["Token"] == text.split("_")[1]]
    assert {one["Who"] for one in mine} == {"token ci"}
    assert {one["Origin"] for one in mine} == {f"tcp {cluster.address(CLIENT)}"}
    refused = [one for one in mine if one["Refusal"]]
    assert may_not in refused[-1]["Refusal"]
    done = [one for one in reversed(mine) if not one["Refusal"]]
    assert {one["Stack"] for one in done} == {"shop"}
    assert (done[0]["Action"], done[0]["Revision"]) == ("stack deploy", 1)
    actions = {one["Action"] for one in done}
    assert {"secret update", "stack rollback", "service rm", "secret rm"} <= actions
    last = cluster.rows("audit", "--limit", "1")[0]
    assert (last["Action"], last["Origin"]) == ("token rm", "unix uid 0")
    assert "canary-of-the-token" not in json.dumps(everything)

    secret = text.strip().rpartition("_")[2].encode()
    for host in cluster.hosts:
        for path in cluster.lab.host(host).folder.rglob("*"):
            if path.is_file() and path.suffix in {".log", ".wal", ".json", ".jsonl", ""}:
                assert secret not in path.read_bytes(), path
