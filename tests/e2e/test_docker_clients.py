"""Docker's own clients work against a manager's socket, and are told so where they cannot."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import ServiceMode

from tests.support.cluster import MANAGER, WORKERS, Cluster, wait_for

HELLO = "compose_examples/hello/docker-compose.yml"
IMAGE = "stackyard/test:1"
WORKER_SAYS = "This node is not a swarm manager. Worker nodes can't be used to view or modify"


def test_the_docker_cli_deploys_shows_scales_and_removes_a_stack(cluster: Cluster) -> None:
    cluster.docker("stack", "deploy", "-c", HELLO, "hello")
    containers = cluster.wait_running("hello_web", 3)
    # a container runs a moment before its server listens
    answer = wait_for("an answer", lambda: cluster.http(containers[0].host, 8080))
    assert answer.startswith("Hello from container ")

    names = cluster.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}")
    assert sorted(line.strip() for line in names.stdout.splitlines()) == [
        "h1 Ready Leader",
        "h2 Ready",
        "h3 Ready",
    ]
    [service] = cluster.docker(
        "service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}"
    ).stdout.splitlines()
    assert service == "hello_web replicated 3/3 stackyard/hello:1"
    tasks = cluster.docker("service", "ps", "hello_web", "--format", "{{.Name}} {{.Node}}")
    assert sorted(line.split()[1] for line in tasks.stdout.splitlines()) == ["h1", "h2", "h3"]
    pretty = cluster.docker("service", "inspect", "--pretty", "hello_web").stdout
    assert "Replicas:\t3" in pretty
    assert "PublishMode = host" in pretty

    assert (
        cluster.docker("stack", "ls", "--format", "{{.Name}} {{.Services}}").stdout == "hello 1\n"
    )
    listed = cluster.docker("stack", "services", "hello", "--format", "{{.Name}} {{.Replicas}}")
    assert listed.stdout == "hello_web 3/3\n"
    shown = cluster.docker("stack", "ps", "hello", "--format", "{{.Name}} {{.CurrentState}}").stdout
    assert [line.split()[:2] for line in sorted(shown.splitlines())] == [
        [f"hello_web.{slot}", "Running"] for slot in (1, 2, 3)
    ]

    cluster.docker("service", "scale", "--detach", "hello_web=1")
    cluster.wait_running("hello_web", 1)
    cluster.docker("stack", "rm", "hello")
    assert cluster.docker("stack", "ls", "--format", "{{.Name}}").stdout == ""
    wait_for("the containers to stop", lambda: not cluster.containers("hello_web"))


def test_both_clients_agree_that_nothing_changed(cluster: Cluster) -> None:
    cluster.stack("deploy", "-c", HELLO, "hello")
    with cluster.unchanged():
        cluster.docker("stack", "deploy", "--resolve-image", "never", "-c", HELLO, "hello")
        cluster.wait_running("hello_web", 3)


def test_the_docker_cli_scales_and_waits_until_the_tasks_run(cluster: Cluster) -> None:
    cluster.docker("service", "create", "--name", "web", "--detach", IMAGE)
    cluster.docker("service", "scale", "web=5")
    assert len(cluster.containers("web")) == 5
    before = cluster.container_ids("web")
    cluster.docker(
        *("service", "update", "--detach", "--env-add", "A=b", "--update-parallelism", "0", "web")
    )
    containers = cluster.wait_running("web", 5, without=before)
    assert all("A=b" in cluster.inspect(c)["Config"]["Env"] for c in containers)
    cluster.docker("service", "rm", "web")


def test_what_is_written_to_a_container_ends_and_its_answer_still_comes(cluster: Cluster) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    for host in (MANAGER, WORKERS[0]):
        said = cluster.docker("run", "-i", "--rm", IMAGE, "cat", host=host, stdin=text)
        assert said.stdout == text
        assert said.stderr == ""
    ended = cluster.docker("run", "--rm", IMAGE, "sh", "-c", "echo no >&2; exit 7", code=7)
    assert ended.stderr == "no\n"


def test_a_worker_serves_its_engine_and_refuses_to_answer_for_the_cluster(
    cluster: Cluster,
) -> None:
    worker = WORKERS[0]
    assert cluster.docker("ps", host=worker).stdout.startswith("CONTAINER ID")
    for command in (
        ("node", "ls"),
        ("service", "ls"),
        ("stack", "ls"),
        ("service", "create", IMAGE),
    ):
        refused = cluster.docker(*command, host=worker, code=1)
        assert WORKER_SAYS in refused.stderr
    refused = cluster.stack("ls", host=worker, code=1)
    assert refused.stderr.startswith(f"error: {WORKER_SAYS}")
    assert len(refused.stderr.splitlines()) == 1


@contextlib.contextmanager
def sdk(cluster: Cluster, host: int) -> Iterator[docker.DockerClient]:
    """Docker's Python SDK against a host's stackd."""
    client = docker.DockerClient(base_url=f"unix://{cluster.lab.host(host).stackd_socket}")
    with contextlib.closing(client):
        yield client


def test_the_python_sdk_creates_scales_and_removes_a_service(cluster: Cluster) -> None:
    with sdk(cluster, MANAGER) as client:
        assert sorted(node.attrs["Description"]["Hostname"] for node in client.nodes.list()) == [
            "h1",
            "h2",
            "h3",
        ]
        assert client.services.list() == []
        made = client.services.create(  # type: ignore[no-untyped-call]
            IMAGE, name="web", mode=ServiceMode("replicated", 2)
        )
        assert [service.id for service in client.services.list()] == [made.id]
        cluster.wait_running("web", 2)
        made.reload()
        assert made.scale(4)
        cluster.wait_running("web", 4)
        assert {task["DesiredState"] for task in made.tasks({"desired-state": "running"})} == {
            "running"
        }
        made.reload()
        made.update(env=["A=b"], fetch_current_spec=True)
        wait_for(
            "the update to be over",
            lambda: all(
                "A=b" in cluster.inspect(c)["Config"]["Env"] for c in cluster.containers("web")
            ),
        )
        made.remove()
        with pytest.raises(NotFound):
            client.services.get(made.id)  # type: ignore[no-untyped-call]
        assert client.containers.run(IMAGE, ["echo", "local"], remove=True) == b"local\n"
    wait_for("the containers to stop", lambda: not cluster.containers("web"))


def test_the_python_sdk_is_told_what_a_worker_cannot_do(cluster: Cluster) -> None:
    with sdk(cluster, WORKERS[0]) as client:
        with pytest.raises(APIError) as caught:
            client.services.list()
        assert caught.value.status_code == 503
        assert WORKER_SAYS in str(caught.value.explanation)
        assert client.info()["Swarm"]["LocalNodeState"] == "active"
        assert client.containers.list() == []


def test_a_task_is_seen_by_docker_on_the_host_that_runs_it(cluster: Cluster) -> None:
    cluster.stack("deploy", "-c", HELLO, "hello")
    [container] = [c for c in cluster.containers("hello_web") if c.host == 3]
    shown = cluster.docker("ps", "--format", "{{json .}}", host=3).stdout.splitlines()
    [row] = [json.loads(line) for line in shown]
    assert row["Names"].startswith("hello_web.")
    assert row["Names"].endswith(container.task)
    assert "listens on port 8080" in cluster.docker("logs", container.id, host=3).stdout
    inside = cluster.docker("exec", container.id, "hostname", host=3).stdout
    assert inside.strip() == container.id[:12]
