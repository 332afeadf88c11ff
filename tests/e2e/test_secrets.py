"""Secrets and configs reach the tasks that name them, in memory only, and nobody else."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import HOSTS, Cluster, Container, idle, wait_for
from tests.support.lab_host import LabError

CANARY = "canary-in-the-coal-mine"


@pytest.fixture
def with_files(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the secret ``canary`` and the config ``setting``."""
    cluster.docker("secret", "create", "canary", "-", stdin=CANARY)
    cluster.docker("config", "create", "setting", "-", stdin="level=3")
    yield cluster
    cluster.remove_services()
    for kind in ("secret", "config"):
        names = cluster.docker(kind, "ls", "-q").stdout.split()
        if names:
            cluster.docker(kind, "rm", *names)


def _create(cluster: Cluster, host: int) -> Container:
    cluster.docker(
        *("service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", "web"),
        *("--constraint", f"node.hostname==h{host}", "--restart-delay", "0s"),
        *("--secret", "source=canary,target=pass,uid=7,gid=8,mode=0400"),
        *("--config", "source=setting,target=/etc/setting,mode=0444"),
        "stackyard/test:1",
    )
    [container] = cluster.wait_running("web", 1)
    return container


def _inside(cluster: Cluster, container: Container, *command: str) -> str:
    return cluster.docker("exec", container.id, *command, host=container.host).stdout


def _mounts(cluster: Cluster, host: int) -> list[str]:
    text = cluster.lab.enter(host, "cat", "/proc/self/mountinfo").stdout
    return [line for line in text.splitlines() if "/run/stackyard/tasks/" in line]


def _files_with(folder: Path, *needles: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and any(needle in path.read_bytes() for needle in needles):
                found.append(path)
    return found


def test_files_arrive_with_owner_and_mode_and_only_where_they_are_needed(
    with_files: Cluster,
) -> None:
    container = _create(with_files, 2)
    assert container.host == 2
    assert _inside(with_files, container, "cat", "/run/secrets/pass") == CANARY
    assert _inside(with_files, container, "cat", "/etc/setting") == "level=3"
    shown = _inside(
        with_files, container, "stat", "-c", "%u %g %a", "/run/secrets/pass", "/etc/setting"
    )
    assert shown == "7 8 400\n0 0 444\n"
    assert [len(_mounts(with_files, host)) for host in HOSTS] == [0, 1, 0]
    with_files.docker("service", "rm", "web")
    wait_for("the files to go", lambda: not _mounts(with_files, 2))


def test_nothing_of_a_secret_is_on_any_disk(with_files: Cluster) -> None:
    _create(with_files, 2)
    encoded = base64.b64encode(CANARY.encode())
    for host in HOSTS:
        folder = with_files.lab.host(host).folder
        assert (folder / "stackd").is_dir()
        assert _files_with(folder, CANARY.encode(), encoded) == []
    # what lies there in clear, as the certificate does, is found
    assert _files_with(with_files.lab.host(2).folder / "stackd", b"BEGIN CERTIFICATE")


def test_containers_keep_their_files_over_a_restart_of_stackd_and_new_ones_get_them(
    with_files: Cluster,
) -> None:
    container = _create(with_files, 2)
    with_files.lab.kill_stackd(2)
    assert _inside_engine(with_files, container, "cat", "/run/secrets/pass") == CANARY
    with_files.lab.start_stackd(2)
    with_files.wait_for_node(2, "ready")
    assert with_files.container_ids("web") == {container.id}
    assert _inside(with_files, container, "cat", "/run/secrets/pass") == CANARY
    with_files.docker("kill", container.id, host=2)
    [fresh] = with_files.wait_running("web", 1, without=[container.id])
    assert _inside(with_files, fresh, "cat", "/run/secrets/pass") == CANARY
    wait_for("the old task's files to go", lambda: len(_mounts(with_files, 2)) == 1)


def test_secrets_survive_a_restart_of_the_manager(with_files: Cluster) -> None:
    with_files.lab.kill_stackd(1)
    with_files.lab.start_stackd(1)
    wait_for("the manager to lead", lambda: with_files.api("GET", "/swarm"))
    container = _create(with_files, 3)
    assert _inside(with_files, container, "cat", "/run/secrets/pass") == CANARY


def test_a_secret_is_exchanged_by_a_new_one_and_the_old_one_removed(with_files: Cluster) -> None:
    container = _create(with_files, 2)
    with_files.docker("secret", "create", "newer", "-", stdin="newer data")
    refused = with_files.docker("secret", "rm", "canary", code=1).stderr
    assert "secret 'canary' is in use by the following service: web" in refused
    with_files.docker(
        *("service", "update", "--quiet", "--detach", "--no-resolve-image"),
        *("--secret-rm", "canary", "--secret-add", "source=newer,target=pass", "web"),
    )
    [fresh] = with_files.wait_running("web", 1, without=[container.id])
    assert _inside(with_files, fresh, "cat", "/run/secrets/pass") == "newer data"
    with_files.docker("secret", "rm", "canary")


def test_services_without_files_are_as_before(cluster: Cluster) -> None:
    cluster.deploy("plain", {"web": idle(replicas=3)})
    cluster.wait_running("plain_web", 3)
    assert [_mounts(cluster, host) for host in HOSTS] == [[], [], []]


def _inside_engine(cluster: Cluster, container: Container, *command: str) -> str:
    """As `_inside`, of the engine itself: stackd is away."""
    socket = cluster.lab.host(container.host).engine_socket
    try:
        return cluster.lab.enter(
            container.host, "docker", "-H", f"unix://{socket}", "exec", container.id, *command
        ).stdout
    except LabError as error:
        raise AssertionError(str(error)) from error


STACK = """
services:
  web:
    image: stackyard/test:1
    secrets: [pass, {source: canary, target: outer, mode: 0400}]
    configs: [{source: conf, target: /etc/conf}]
    deploy: {placement: {constraints: [node.hostname==h3]}}
secrets:
  pass: {environment: PASS}
  canary: {external: true}
configs:
  conf: {content: "slot={{.Task.Slot}} pass={{secret \\"pass\\"}}", template_driver: golang}
"""


def test_a_compose_file_brings_its_secrets_and_configs(with_files: Cluster) -> None:
    file = with_files.compose_file(STACK)
    deploy = ("deploy", "-c", file, "shop")
    said = with_files.stack(*deploy, env={"PASS": "from-the-shell"}).stdout
    assert "Creating secret shop_pass" in said
    [container] = with_files.wait_running("shop_web", 1)
    assert _inside(with_files, container, "cat", "/run/secrets/pass") == "from-the-shell"
    assert _inside(with_files, container, "cat", "/run/secrets/outer") == CANARY
    filled = "slot=1 pass=from-the-shell"
    assert _inside(with_files, container, "cat", "/etc/conf") == filled
    with with_files.unchanged("shop_web"):
        with_files.stack(*deploy, env={"PASS": "from-the-shell"})
    with_files.stack(*deploy, env={"PASS": "other"})
    [rolled] = with_files.wait_running("shop_web", 1, without={container.id})
    assert _inside(with_files, rolled, "cat", "/run/secrets/pass") == "other"
    names = {row["Name"] for row in with_files.rows("secret", "ls")}
    assert names > {"canary", "shop_pass"}  # the old one, as a rollback goes back to it
    with_files.stack(*deploy, env={"PASS": "third"})
    assert len(with_files.rows("secret", "ls")) == 4, "one for each revision, and the outer one"
    with_files.stack("rm", "shop")
    assert {row["Name"] for row in with_files.rows("secret", "ls")} == {"canary"}
    assert {row["Name"] for row in with_files.rows("configs", "ls")} == {"setting"}
