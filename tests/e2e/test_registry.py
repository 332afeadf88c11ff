"""A registry that wants a login: nodes pull with what the client gave, and nobody else sees it."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import HOSTS, Cluster, wait_for
from tests.support.lab_host import LabError
from tests.support.registry import USER, Registry

LOCAL = "stackyard/hello:1"


@pytest.fixture
def registry(cluster: Cluster) -> Iterator[Registry]:
    """A registry on the manager's host that holds LOCAL as team/web:1; no engine knows it so."""
    with tempfile.TemporaryDirectory(prefix="sy-reg-") as folder:
        found = Registry(cluster.lab, 1, Path(folder))
        try:
            found.start()
            login = ("login", "--username", USER, "--password-stdin", found.address)
            cluster.docker(*login, stdin=found.password)
            push(cluster, found, "1")
            yield found
        finally:
            found.stop()
            cluster.docker("logout", found.address)
            forget(cluster, found)


def image(registry: Registry, tag: str = "1") -> str:
    return f"{registry.address}/team/web:{tag}"


def push(cluster: Cluster, registry: Registry, tag: str) -> None:
    """Put an image into the registry that no other tag names, and take it from the engine."""
    if tag == "1":
        cluster.docker("tag", LOCAL, image(registry, tag))
    else:
        container = cluster.docker("create", LOCAL).stdout.strip()
        change = f"LABEL tag={tag}"
        cluster.docker("commit", "--change", change, container, image(registry, tag))
        cluster.docker("rm", container)
    cluster.docker("push", "--quiet", image(registry, tag))
    cluster.docker("rmi", image(registry, tag))


def forget(cluster: Cluster, registry: Registry) -> None:
    """Take the registry's images from every engine, so that the next task has to pull."""
    cluster.remove_services()
    for host in HOSTS:
        wait_for("the containers to go", lambda: not cluster.containers(all_states=True))
        for one in cluster.lab.engine(host, "GET", "/images/json"):
            for name in [*(one["RepoTags"] or ()), *(one["RepoDigests"] or ())]:
                if name.startswith(registry.address):
                    with contextlib.suppress(LabError):  # it went with its tag
                        cluster.lab.engine(host, "DELETE", f"/images/{name}?force=1")


def image_of(cluster: Cluster, service: str) -> str:
    spec: dict[str, Any] = cluster.service(service)["Spec"]["TaskTemplate"]["ContainerSpec"]
    return str(spec["Image"])


def test_nodes_pull_with_the_login_of_the_service(cluster: Cluster, registry: Registry) -> None:
    create = ("service", "create", "--quiet", "--replicas", "3", "--name", "web")
    spread = ("--replicas-max-per-node", "1", "--with-registry-auth")
    cluster.docker(*create, *spread, image(registry))
    assert {container.host for container in cluster.wait_running("web", 3)} == set(HOSTS)
    assert image_of(cluster, "web").startswith(f"{image(registry)}@sha256:")

    # nobody is shown the password, and no file and no log has it
    for what in ("service", "task", "image"):
        name = cluster.tasks("web")[0].id if what == "task" else "web"
        shown = cluster.docker("inspect", "--type", what, name, code=None).stdout
        assert_hides(registry, shown, what)
    for host in HOSTS:
        folder = cluster.lab.host(host).folder
        for path in [folder / "stackd.log", *(folder / "stackd").rglob("*")]:
            if path.is_file():
                assert_hides(registry, path.read_bytes().decode("latin-1"), str(path))

    # an update without a login keeps the one that is there
    push(cluster, registry, "2")
    before = cluster.container_ids("web")
    update = ("service", "update", "--quiet", "--no-resolve-image", "--image", image(registry, "2"))
    cluster.docker(*update, "web")
    cluster.wait_running("web", 3, without=before)


def assert_hides(registry: Registry, text: str, place: str) -> None:
    pair = base64.b64encode(f"{USER}:{registry.password}".encode()).decode()
    login = {"username": USER, "password": registry.password, "serveraddress": registry.address}
    encoded = base64.urlsafe_b64encode(json.dumps(login, separators=(",", ":")).encode()).decode()
    for secret in (registry.password, pair, encoded.rstrip("=")):
        assert secret not in text, f"{place} shows the login"


def test_without_a_login_the_task_says_what_the_registry_said(
    cluster: Cluster, registry: Registry
) -> None:
    create = ("service", "create", "--detach", "--restart-condition", "none", "--name", "web")
    said = cluster.docker(*create, image(registry))
    assert "could not be accessed on a registry" in said.stderr
    wait_for("a rejection", lambda: [t.state for t in cluster.tasks("web")] == ["rejected"])
    assert "no basic auth credentials" in cluster.tasks("web")[0].error


def test_a_stack_is_pinned_and_stays_as_it_is_without_its_registry(
    cluster: Cluster, registry: Registry
) -> None:
    file = cluster.compose_file({"services": {"web": {"image": image(registry)}}})

    def deploy(*options: str, code: int = 0) -> str:
        env = {"DOCKER_CONFIG": cluster.docker_config}
        command = ("deploy", "-c", file, "--stable", "0", *options, "shop")
        said = cluster.stack(*command, env=env, code=code).stderr
        return "".join(line for line in said.splitlines() if registry.address in line)

    assert deploy("--with-registry-auth") == ""
    (first,) = cluster.wait_running("shop_web", 1)
    pinned = image_of(cluster, "shop_web")
    assert pinned.startswith(f"{image(registry)}@sha256:")

    # the tag moves: only "always" looks
    push(cluster, registry, "2")
    cluster.docker("pull", "--quiet", image(registry, "2"))
    cluster.docker("tag", image(registry, "2"), image(registry))
    cluster.docker("push", "--quiet", image(registry))
    with cluster.unchanged("shop_web", written=True):
        assert deploy("--with-registry-auth", "--resolve-image", "changed") == ""
        assert deploy("--resolve-image", "never") == ""
    assert deploy("--with-registry-auth") == ""
    cluster.wait_running("shop_web", 1, without=[first.id])
    moved = image_of(cluster, "shop_web")
    assert moved.startswith(f"{image(registry)}@sha256:")
    assert moved != pinned

    # a registry that is away: what is known stays, and it is said
    registry.stop()
    with cluster.unchanged("shop_web", written=True):
        said = deploy("--with-registry-auth")
        assert "its registry gave no digest" in said
        assert f"kept as it is, {moved.partition('@')[2]}" in said
        assert "its registry gave no digest" in deploy("--strict", code=2)
    assert image_of(cluster, "shop_web") == moved

    # an image that nobody knows is refused, whatever else the file says
    def with_another(tag: str) -> str:
        new = {"image": image(registry, tag), "deploy": {"replicas": 0}}
        return cluster.compose_file({"services": {"web": {"image": image(registry)}, "new": new}})

    file = with_another("3")
    with cluster.unchanged("shop_web"):
        said = deploy("--atomic", code=1)
        assert "neither the stack nor the manager's engine has one" in said
        assert "--resolve-image never" in said
    # and one that the manager's engine has from there is taken by the digest of that
    file = with_another("2")
    assert f"taken is {moved.partition('@')[2]}" in deploy()
    assert image_of(cluster, "shop_new") == f"{image(registry, '2')}@{moved.partition('@')[2]}"
