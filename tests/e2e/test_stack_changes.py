"""Redeploys that change nothing, plans, rotation and pruning on real engines; nothing leaks."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, Cluster, idle

CANARY = "canary-of-the-deployment"
ROUNDS = 100

FILE: dict[str, Any] = {
    "services": {
        "web": {
            **idle(replicas=2, update_config={"monitor": "1s", "order": "start-first"}),
            "environment": {"A": "1", "B": "2", "C": "in the environment"},
            "labels": {"x": "1", "y": "2"},
            "secrets": [{"source": "pass", "target": "p"}],
            "configs": [{"source": "conf", "target": "/etc/conf"}],
            "ulimits": {"nofile": 1000, "nproc": 500},
            "extra_hosts": {"one": "10.0.0.1", "two": "10.0.0.2"},
            "privileged": False,
            "shm_size": "16m",
        },
        "other": {**idle(), "environment": {"A": "1"}},
    },
    "secrets": {"pass": {"environment": "PASS"}},
    "configs": {"conf": {"content": "in a config"}},
}


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Cluster]:
    yield cluster
    cluster.stack("rm", "shop", code=None)


def deploy(cluster: Cluster, content: object, *options: str, code: int = 0, secret: str = CANARY):
    file = cluster.compose_file(json.dumps(content))
    return cluster.stack(
        "deploy", "-c", file, "--stable", "0", *options, "shop", env={"PASS": secret}, code=code
    )


def shuffled(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    items = list(value.items())
    rng.shuffle(items)
    return {key: shuffled(member, rng) for key, member in items}


@pytest.mark.timeout(900)
def test_a_hundred_redeploys_of_a_shuffled_file_change_nothing(
    shop: Cluster, measure: Measure
) -> None:
    deploy(shop, FILE)
    rng = random.Random(1)
    with shop.unchanged("shop_web", "shop_other"), measure(f"{ROUNDS} redeploys of one file"):
        for _ in range(ROUNDS):
            deploy(shop, shuffled(FILE, rng), "--detach")
    assert len(shop.api("GET", "/secrets")) == len(shop.api("GET", "/configs")) == 1


def test_a_changed_secret_rolls_its_users_and_nobody_else(shop: Cluster) -> None:
    deploy(shop, FILE)
    other = shop.container_ids("shop_other")
    web = shop.container_ids("shop_web")
    deploy(shop, FILE, secret=f"{CANARY}-2")
    new = shop.wait_running("shop_web", 2, without=web)
    for container in new:
        shown = shop.docker("exec", container.id, "cat", "/run/secrets/p", host=container.host)
        assert shown.stdout == f"{CANARY}-2"
    assert shop.container_ids("shop_other") == other
    # back to the first content, of which the version is still there: no third one is made
    deploy(shop, FILE)
    assert len(shop.api("GET", "/secrets")) == 2


def test_a_plan_is_refused_once_the_stack_has_moved(shop: Cluster) -> None:
    deploy(shop, FILE)
    changed = {**FILE, "services": {**FILE["services"], "other": idle(replicas=2)}}
    file = shop.compose_file(json.dumps(changed))
    plan = file + ".plan.json"
    secret = {"PASS": CANARY}
    said = shop.stack("diff", "-c", file, "-o", plan, "shop", code=10, env=secret)
    assert "restarts shop_other.1@h" in said.stdout
    shop.stack("service", "scale", "shop_other=3")
    said = shop.stack("deploy", "-c", file, "--plan", plan, env=secret, code=1)
    assert "service shop_other was changed" in said.stderr
    shop.stack("diff", "-c", file, "-o", plan, "shop", code=10, env=secret)
    shop.stack("deploy", "-c", file, "--plan", plan, env=secret)
    shop.stack("diff", "-c", file, "shop", env=secret)


def test_prune_removes_services_files_and_networks(shop: Cluster) -> None:
    deploy(shop, {**FILE, "networks": {"default": {}, "extra": {}}})
    less = {"services": {"other": FILE["services"]["other"]}}
    deploy(shop, less, "--prune")
    assert shop.service_names() == {"shop_other"}
    assert len(shop.api("GET", "/secrets")) == 1, "kept for the revision before"
    swarm = [n["Name"] for n in shop.api("GET", "/networks") if n["Scope"] == "swarm"]
    assert "shop_default" in swarm
    assert "shop_extra" not in swarm
    shop.stack("rollback", "--stable", "0", "shop", "1")
    assert shop.service_names() == {"shop_web", "shop_other"}
    shop.stack("rm", "shop")
    assert shop.api("GET", "/secrets") == shop.api("GET", "/configs") == []


def test_a_secret_shows_in_no_output_and_on_no_disk(shop: Cluster, tmp_path: Path) -> None:
    crash = {**FILE["services"]["other"], "command": "sh -c 'sleep 0.2; exit 3'"}
    broken = {**FILE, "services": {**FILE["services"], "other": crash}}
    secret = {"PASS": CANARY}
    plan = str(tmp_path / "plan.json")
    file = shop.compose_file(json.dumps(FILE))
    outputs = [
        shop.stack("diff", "-c", file, "-o", plan, "shop", code=10, env=secret),
        deploy(shop, FILE, "--output", "json"),
        deploy(shop, FILE, "--output", "json", secret=f"{CANARY}-2"),
        shop.stack("diff", "-c", file, "--format", "json", "shop", code=10, env=secret),
        deploy(shop, broken, "--output", "json", "--stable", "5", code=1),
    ]
    questions = (
        ("status", "shop", "--format", "json"),
        ("history", "shop", "--format", "json"),
        ("history", "shop", "1"),
        ("audit", "--stack", "shop", "--format", "json"),
        ("service", "inspect", "shop_web"),
        ("secret", "ls", "--format", "json"),
    )
    outputs += [shop.stack(*question) for question in questions]
    now = shop.docker("info", "--format", "{{.SystemTime}}").stdout.strip()
    outputs.append(shop.docker("events", "--since", "0", "--until", now))
    said = "".join(one.stdout + one.stderr for one in outputs) + Path(plan).read_text()
    assert CANARY not in said
    encoded = base64.b64encode(CANARY.encode()).rstrip(b"=")[:-2]
    assert encoded.decode() not in said
    copy = tmp_path / "cluster.backup"
    shop.stack("cluster", "backup", str(copy), env={"STACK_BACKUP_PASSPHRASE": "correct horse"})
    assert not files_with(tmp_path, CANARY.encode(), encoded)
    for host in HOSTS:
        place = shop.lab.host(host)
        assert not files_with(place.folder / "stackd", CANARY.encode(), encoded)
        log = place.log("stackd").read_bytes()
        assert b"stackd started" in log
        assert CANARY.encode() not in log
        assert encoded not in log


def files_with(folder: Path, *needles: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and any(needle in path.read_bytes() for needle in needles):
                found.append(path)
    return found
