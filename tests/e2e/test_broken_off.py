"""Whoever dies in the middle of a deployment, `stack status` explains what is left and the next one mends it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.cluster import MANAGER, WORKERS, Cluster, idle, wait_for
from tests.support.lab_host import ROOT, environment

LONGEST_S = 3.0
"""The victim dies within this time after the deployment's begin: before it, in it, or after it."""

QUICK = {"update_config": {"monitor": "1s"}}


def file(cluster: Cluster, edition: str) -> str:
    web = {**idle(replicas=3, **QUICK), "environment": {"EDITION": edition}, "secrets": ["pass"]}
    api = {**idle(**QUICK), "environment": {"EDITION": edition}, "depends_on": ["web"]}
    secret = {"pass": {"environment": "EDITION"}}
    return cluster.compose_file({"services": {"web": web, "api": api}, "secrets": secret})


def begin(cluster: Cluster, edition: str, *options: str, path: str = "") -> subprocess.Popen[bytes]:
    socket = f"unix://{cluster.lab.host(MANAGER).stackd_socket}"
    program = str(ROOT / ".venv/bin/stack")
    return subprocess.Popen(
        [program, "-H", socket, "deploy", "-c", path or file(cluster, edition), *options, "shop"],
        env={**environment(), "EDITION": edition},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def the_client(cluster: Cluster, deploying: subprocess.Popen[bytes]) -> None:
    deploying.send_signal(signal.SIGKILL)


def the_leader(cluster: Cluster, deploying: subprocess.Popen[bytes]) -> None:
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)


def a_worker(cluster: Cluster, deploying: subprocess.Popen[bytes]) -> None:
    cluster.lab.poweroff(WORKERS[0])


@pytest.mark.parametrize("victim", [the_client, the_leader, a_worker])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_next_deployment_mends_what_is_left(
    cluster: Cluster, victim: Callable[[Cluster, Any], None], seed: int
) -> None:
    cluster.stack("deploy", "-c", file(cluster, "1"), "--stable", "0", "shop", env={"EDITION": "1"})
    rng = random.Random(f"{victim.__name__} {seed}")
    deploying = begin(cluster, "2")
    time.sleep(rng.uniform(0, LONGEST_S))
    victim(cluster, deploying)
    shown = wait_for(
        "the cluster to tell how the stack is",
        lambda: json.loads(cluster.stack("status", "shop", "--format", "json", code=None).stdout),
    )
    assert {one["name"] for one in shown} == {"shop_web", "shop_api"}
    assert all(one["phase"] for one in shown)
    assert {one["revision"]["number"] for one in shown} <= {1, 2}
    assert all(one["lease"]["holder"] for one in shown if one["lease"])
    deploying.wait(timeout=300)
    cluster.stack("deploy", "-c", file(cluster, "3"), "--stable", "0", "shop", env={"EDITION": "3"})
    for name, replicas in (("shop_web", 3), ("shop_api", 1)):
        for container in cluster.wait_running(name, replicas):
            assert "EDITION=3" in cluster.inspect(container)["Config"]["Env"]
    numbers = [one["Number"] for one in json.loads(
        cluster.stack("history", "shop", "--format", "json").stdout
    )]  # fmt: skip
    assert numbers in ([3, 2, 1], [2, 1]), "each deployment is there as a whole or not at all"


@pytest.mark.parametrize("victim", [the_client, the_leader])
@pytest.mark.parametrize(("seed", "is_bad"), [(1, True), (2, False), (3, True)])
def test_an_atomic_deployment_ends_as_a_whole(
    cluster: Cluster, victim: Callable[[Cluster, Any], None], seed: int, is_bad: bool
) -> None:
    def edition(name: str, *, crashes: bool) -> str:
        one = {**idle(**QUICK), "environment": {"EDITION": name}}
        other = {**one, "command": ["sh", "-c", "sleep 1; exit 3"]} if crashes else one
        return cluster.compose_file({"services": {"web": one, "api": other}})

    here = ("--resolve-image", "never", "--stable", "0")
    longer_than_it_runs = ("--resolve-image", "never", "--stable", "3")
    cluster.stack("deploy", "-c", edition("1", crashes=False), *here, "shop")
    rng = random.Random(f"atomic {victim.__name__} {seed}")
    path = edition("2", crashes=is_bad)
    deploying = begin(cluster, "2", "--atomic", *longer_than_it_runs, path=path)
    time.sleep(rng.uniform(0, LONGEST_S))
    victim(cluster, deploying)

    def rollout() -> dict[str, Any]:
        return dict(cluster.api("GET", "/stacks/shop").get("Rollout") or {"State": "none"})

    deploying.wait(timeout=300)
    wait_for(
        "the managers to decide",
        lambda: rollout()["State"] not in ("under way", "going back"),
        limit_s=120,
    )
    found = {}
    for name in ("shop_web", "shop_api"):
        [container] = cluster.wait_running(name, 1)
        found[name] = next(
            text
            for text in cluster.inspect(container)["Config"]["Env"]
            if text.startswith("EDITION=")
        )
    assert len(set(found.values())) == 1, f"half of a deployment: {found}, {rollout()}"
    told = json.loads(cluster.stack("status", "shop", "--format", "json").stdout)[0]["rollout"]
    if told:
        assert told["author"]
        assert told["state"] == rollout()["State"]
    if is_bad:
        assert set(found.values()) == {"EDITION=1"}
    elif rollout()["State"] == "held":
        assert set(found.values()) == {"EDITION=2"}
    cluster.stack("deploy", "-c", edition("3", crashes=False), *here, "shop")
