"""Secrets and configs rotate by editing when the stock client deploys, too."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, Cluster, Container, idle, wait_for

CANARY = "canary-of-the-rotation"


def _deploy(cluster: Cluster, secret: str, config: str) -> str:
    """Deploy two services with the stock client, of which only one reads the files."""
    folder = Path(cluster.docker_config)
    (folder / "pass.txt").write_text(secret)
    (folder / "conf.txt").write_text(config)
    quick = {"monitor": "1s", "parallelism": 0}
    reader = {
        **idle(replicas=2, update_config=quick),
        "secrets": ["pass"],
        "configs": [{"source": "conf", "target": "/etc/conf"}],
    }
    path = cluster.compose_file(
        {
            "version": "3.8",
            "services": {"web": reader, "api": idle(update_config=quick)},
            "secrets": {"pass": {"file": str(folder / "pass.txt")}},
            "configs": {"conf": {"file": str(folder / "conf.txt")}},
        }
    )
    said = cluster.docker("stack", "deploy", "-c", path, "--resolve-image", "never", "shop")
    return said.stdout + said.stderr


def _contents(cluster: Cluster, containers: list[Container]) -> set[str]:
    command = ("sh", "-c", "cat /run/secrets/pass; echo; cat /etc/conf")
    return {cluster.docker("exec", one.id, *command, host=one.host).stdout for one in containers}


def _ids(cluster: Cluster, name: str) -> set[str]:
    return {task.id for task in cluster.running_tasks(name)}


def _names(cluster: Cluster, kind: str) -> set[str]:
    return {one["Spec"]["Name"] for one in cluster.api("GET", f"/{kind}")}


def _places_with(cluster: Cluster, needle: str, *said: object) -> list[str]:
    """Where a content shows: in what clients are told, and in what lies on the hosts' disks."""
    forms = (needle, base64.b64encode(needle.encode()).decode())
    shown: dict[str, Any] = {
        "history": cluster.stack("history", "shop").stdout,
        "secrets": cluster.api("GET", "/secrets"),
        "services": cluster.api("GET", "/services"),
        "stacks": cluster.api("GET", "/stacks"),
        "said": said,
    }
    found = [name for name, text in shown.items() if any(f in json.dumps(text) for f in forms)]
    for host in HOSTS:
        for path in cluster.lab.host(host).folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and any(f.encode() in path.read_bytes() for f in forms):
                    found.append(str(path))
    return found


def test_the_stock_client_rotates_secrets_and_configs(cluster: Cluster, measure: Measure) -> None:
    _deploy(cluster, "one", "first")
    web = cluster.wait_running("shop_web", 2)
    cluster.wait_running("shop_api", 1)
    assert _contents(cluster, web) == {"one\nfirst"}
    api = _ids(cluster, "shop_api")

    with measure("stock docker stack deploy with a changed secret: until the tasks run"):
        said = _deploy(cluster, CANARY, "first")
        fresh = cluster.wait_running("shop_web", 2, without={one.id for one in web})
    assert _contents(cluster, fresh) == {f"{CANARY}\nfirst"}
    assert _ids(cluster, "shop_api") == api
    assert "shop_pass" in _names(cluster, "secrets")
    assert len(_names(cluster, "secrets")) == 2

    with cluster.unchanged():
        _deploy(cluster, CANARY, "first")

    _deploy(cluster, CANARY, "second")
    newest = cluster.wait_running("shop_web", 2, without={one.id for one in fresh})
    assert _contents(cluster, newest) == {f"{CANARY}\nsecond"}
    assert _ids(cluster, "shop_api") == api

    # our client sees what is there and changes nothing; what it deploys the other finds again
    folder = Path(cluster.docker_config)
    same = cluster.compose_file(
        {
            "services": {
                "web": {
                    **idle(replicas=2, update_config={"monitor": "1s", "parallelism": 0}),
                    "secrets": ["pass"],
                },
            },
            "secrets": {"pass": {"file": str(folder / "pass.txt")}},
        }
    )
    diff = cluster.stack("diff", "-c", same, "shop", code=10).stdout
    assert "secret" not in diff
    assert CANARY not in diff
    assert _places_with(cluster, CANARY, said, diff) == []
    assert _places_with(cluster, "BEGIN CERTIFICATE")  # what does lie there is found

    # a rollback brings the old content back, though its name went to the new one
    cluster.docker("service", "rollback", "--detach", "shop_web")
    wait_for(
        "the config of before",
        lambda: (
            len(now := cluster.containers("shop_web")) == 2
            and not {one.id for one in now} & {one.id for one in newest}
        ),
    )
    back = cluster.wait_running("shop_web", 2, without={one.id for one in newest})
    assert _contents(cluster, back) == {f"{CANARY}\nfirst"}
    cluster.docker("stack", "rm", "shop")
    wait_for("the files to go", lambda: not _names(cluster, "secrets") | _names(cluster, "configs"))


def test_both_clients_rotate_the_same_secret(cluster: Cluster) -> None:
    file = {
        "services": {"web": {**idle(update_config={"monitor": "1s"}), "secrets": ["pass"]}},
        "secrets": {"pass": {"file": str(Path(cluster.docker_config) / "both.txt")}},
        "version": "3.8",
    }
    path = cluster.compose_file(file)

    def content(secret: str) -> Path:
        written = Path(cluster.docker_config) / "both.txt"
        written.write_text(secret)
        return written

    def ours(secret: str) -> None:
        content(secret)
        here = ("--stable", "0", "--resolve-image", "never")
        cluster.stack("deploy", "-c", path, *here, "shop")

    def stock(secret: str) -> None:
        content(secret)
        cluster.docker("stack", "deploy", "-c", path, "--resolve-image", "never", "shop")

    def read() -> str:
        [one] = cluster.wait_running("shop_web", 1)
        # it may be replaced just now, and then says nothing
        said = cluster.docker("exec", one.id, "cat", "/run/secrets/pass", host=one.host, code=None)
        return said.stdout

    ours("1")
    ours("2")
    for deploy in (stock, ours):
        cluster.wait_running("shop_web", 1)
        before = _ids(cluster, "shop_web")
        deploy("2")  # what is there already, under another name
        cluster.wait_running("shop_web", 1)
        assert _ids(cluster, "shop_web") == before
    stock("3")
    wait_for("the third content", lambda: read() == "3")
    before = _ids(cluster, "shop_web")
    ours("3")
    assert _ids(cluster, "shop_web") == before
    cluster.stack("rollback", "--stable", "0", "shop", "1")
    assert read() == "1"
    cluster.stack("rm", "shop")
