"""A stack is one object: revisions, the way back, all or nothing, one deployment at a time."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

from tests.e2e.conftest import Measure
from tests.support.cluster import MANAGER, Cluster, idle, wait_for
from tests.support.lab_host import ROOT, environment

CRASH = "sh -c 'sleep 0.2; exit 3'"
QUICK = {"update_config": {"monitor": "1s", "parallelism": 0}}


def services(edition: str, **changed: Any) -> dict[str, Any]:
    """Three services, of which some may be another one."""
    same = {**idle(**QUICK), "environment": {"EDITION": edition}}
    return {**dict.fromkeys(("web", "api", "db"), same), **changed}


def specs(cluster: Cluster) -> dict[str, Any]:
    return {one["Spec"]["Name"]: one["Spec"] for one in cluster.api("GET", "/services")}


def history(cluster: Cluster) -> list[tuple[int, str]]:
    listed = json.loads(cluster.stack("history", "shop", "--format", "json").stdout)
    return [(one["Number"], one["Message"]) for one in listed]


def test_each_deployment_is_a_revision_that_one_can_return_to(
    cluster: Cluster, measure: Measure
) -> None:
    file = {
        "services": {"web": {**idle(replicas=2, **QUICK), "secrets": ["pass"]}},
        "secrets": {"pass": {"environment": "PASS"}},
    }
    path = cluster.compose_file(file)

    def deploy(secret: str) -> None:
        cluster.stack("deploy", "-c", path, "--stable", "0", "shop", env={"PASS": secret})

    deploy("canary-1")
    one = specs(cluster)
    deploy("canary-2")
    deploy("canary-2")
    file["services"]["api"] = idle(**QUICK)
    path = cluster.compose_file(file)
    deploy("canary-3")
    assert history(cluster) == [(3, ""), (2, ""), (1, "")]
    with measure("stack rollback of one service with another secret"):
        cluster.stack("rollback", "--stable", "0", "shop", "1")
    assert specs(cluster) == one
    for container in cluster.wait_running("shop_web", 2):
        read = cluster.docker("exec", container.id, "cat", "/run/secrets/pass", host=container.host)
        assert read.stdout == "canary-1"
    assert history(cluster)[0] == (4, "rollback to 1")
    cluster.stack("rollback", "--stable", "0", "shop")
    assert set(specs(cluster)) == {"shop_web", "shop_api"}
    table = cluster.stack("history", "shop").stdout.splitlines()
    assert table[0].split() == ["REVISION", "AGE", "BY", "NOTE", "SERVICES", "IMAGES"]
    shown = json.loads(cluster.stack("history", "shop", "1").stdout)
    assert shown["Specs"] == [one["shop_web"]]
    assert "canary" not in json.dumps(shown)
    said = cluster.stack("rollback", "shop", "77", code=1)
    assert "revision 77 of stack shop is not kept" in said.stderr
    cluster.stack("rm", "shop")
    assert cluster.api("GET", "/secrets") == []
    assert "not found" in cluster.stack("history", "shop", code=1).stderr


def test_one_service_that_fails_brings_all_back(cluster: Cluster, measure: Measure) -> None:
    cluster.deploy("shop", services("1"))
    before = specs(cluster)
    broken = {**idle(**QUICK), "command": CRASH}
    with measure("stack deploy --atomic of 3 services, one of which fails"):
        said = cluster.deploy("shop", services("2", db=broken), "--atomic", code=3)
    assert "all services are back at revision 1" in said.stderr
    assert specs(cluster) == before
    for name in before:
        [container] = cluster.wait_running(name, 1)
        assert "EDITION=1" in cluster.inspect(container)["Config"]["Env"]
    assert [number for number, _ in history(cluster)] == [3, 2, 1]


def test_a_first_deployment_that_fails_leaves_nothing(cluster: Cluster) -> None:
    broken = {**idle(**QUICK), "command": ["sh", "-c", "echo no database; exit 3"]}
    said = cluster.deploy("shop", services("1", db=broken), "--atomic", code=1)
    assert "| no database" in said.stderr
    assert "what was made was removed" in said.stderr
    assert cluster.service_names() == set()
    assert [
        n["Name"] for n in cluster.api("GET", "/networks") if n["Name"].startswith("shop")
    ] == []
    assert cluster.api("GET", "/secrets") == []
    cluster.deploy("shop", services("2"), "--atomic")
    cluster.stack("rm", "shop")


def test_a_detached_atomic_deployment_tells_afterwards_how_it_ended(cluster: Cluster) -> None:
    broken = {**idle(**QUICK, restart_policy={"delay": "0s"}), "command": CRASH}
    cluster.deploy("shop", services("1"), "--stable", "0")
    before, revision = specs(cluster), history(cluster)[0][0]
    cluster.deploy("shop", services("2", db=broken), "--atomic", "--detach", "--timeout", "240")
    for _ in range(2):  # it waits, and is asked once more when all is over
        said = cluster.stack("wait", "--timeout", "240", "shop", code=3).stderr
        assert f"all services are back at revision {revision}" in said
    assert specs(cluster) == before
    assert (
        f"all services went back to revision {revision}" in cluster.stack("status", "shop").stdout
    )
    last = cluster.rows("audit", "--stack", "shop", "--limit", "1")[0]
    assert (last["Who"], last["Action"]) == ("the cluster itself", "stack rollback")
    less = {name: one for name, one in services("2").items() if name != "api"}
    cluster.deploy("shop", less, "--atomic", "--detach", "--prune", "--stable", "0")
    cluster.stack("wait", "--timeout", "240", "--stable", "0", "shop")
    wait_for("the managers to prune", lambda: cluster.service_names() == {"shop_web", "shop_db"})
    assert history(cluster)[0][1] == "pruned"
    last = cluster.rows("audit", "--stack", "shop", "--limit", "1")[0]
    assert (last["Who"], last["Action"]) == ("the cluster itself", "stack prune")


def test_two_deployments_do_not_interleave(cluster: Cluster) -> None:
    cluster.deploy("shop", services("1"))
    slow = {**idle(**QUICK), "healthcheck": {"test": "false", "interval": "1s", "retries": 99}}
    file = cluster.compose_file({"version": "3.8", "services": services("2", web=slow)})
    socket = f"unix://{cluster.lab.host(MANAGER).stackd_socket}"
    first = subprocess.Popen(
        [str(ROOT / ".venv/bin/stack"), "-H", socket, "deploy", "-c", file, "shop"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for("the first to begin", lambda: len(history(cluster)) == 2)
        said = cluster.deploy("shop", services("3"), "--wait-lock", "0", code=1)
        assert "stack shop is being deployed by " in said.stderr
        said = cluster.stack("rm", "--wait-lock", "0", "shop", code=1)
        assert "stack shop is being deployed by " in said.stderr
        assert cluster.service_names() == {"shop_web", "shop_api", "shop_db"}
        stock = ("stack", "deploy", "-c", file, "--resolve-image", "never", "shop")
        for said in (
            cluster.docker(*stock, code=1),
            cluster.docker("service", "scale", "shop_web=2", code=1),
            cluster.docker("service", "rm", "shop_web", code=1),
            cluster.stack("service", "rollback", "shop_web", code=1),
        ):
            assert "stack shop is being deployed by " in said.stderr
        shown = cluster.api("GET", "/stacks/shop")
        assert shown["Lease"]["Holder"]
        assert "oken" not in json.dumps(shown)
    finally:
        # a client that is killed gives nothing back: its lease ends by itself, and the next one mends
        first.send_signal(signal.SIGKILL)
        first.wait()
    cluster.deploy("shop", services("3"))
    [container] = cluster.wait_running("shop_web", 1)
    assert "EDITION=3" in cluster.inspect(container)["Config"]["Env"]


def test_an_operator_breaks_in(cluster: Cluster) -> None:
    slow = {**idle(**QUICK), "healthcheck": {"test": "false", "interval": "1s", "retries": 99}}
    file = cluster.compose_file({"services": services("1", web=slow)})
    socket = f"unix://{cluster.lab.host(MANAGER).stackd_socket}"
    deploying = subprocess.Popen(
        [str(ROOT / ".venv/bin/stack"), "-H", socket, "deploy", "-c", file, "shop"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for("it to begin", cluster.service_names)
        assert "being deployed by " in cluster.stack("status", "shop").stdout
        assert "Unlocked stack shop" in cluster.stack("unlock", "shop").stdout
        cluster.docker("service", "scale", "--detach", "shop_web=0")
        _, said = deploying.communicate(timeout=120)
    finally:
        deploying.kill()
        deploying.wait()
    assert deploying.returncode == 1
    assert "has ended this deployment's hold on stack shop" in said
    assert "Nobody is deploying" in cluster.stack("unlock", "shop").stdout


def test_a_deployment_outlives_its_leader(cluster: Cluster) -> None:
    cluster.deploy("shop", services("1"))
    before = specs(cluster)
    file = cluster.compose_file({"services": services("2")})
    socket = f"unix://{cluster.lab.host(MANAGER).stackd_socket}"
    deploying = subprocess.Popen(
        [str(ROOT / ".venv/bin/stack"), "-H", socket, "deploy", "-c", file, "shop"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for("the second to begin", lambda: len(history(cluster)) == 2)
    cluster.lab.kill_stackd(MANAGER)
    cluster.lab.start_stackd(MANAGER)
    said, _ = deploying.communicate(timeout=120)
    assert deploying.returncode == 0, said
    assert [number for number, _ in history(cluster)] == [2, 1]
    cluster.stack("rollback", "--stable", "0", "shop")
    assert specs(cluster) == before


def test_the_stock_client_works_beside_it(cluster: Cluster) -> None:
    cluster.deploy("shop", services("1"))
    file = cluster.compose_file({"version": "3.8", "services": services("2")})
    cluster.docker("stack", "deploy", "-c", file, "--resolve-image", "never", "shop")
    by_stock = specs(cluster)
    assert "not as in revision 1:" in cluster.stack("history", "shop").stdout
    cluster.deploy("shop", services("3"))
    assert history(cluster) == [(3, ""), (2, "as it was found"), (1, "")]
    assert "not as in" not in cluster.stack("history", "shop").stdout
    cluster.stack("rollback", "--stable", "0", "shop", "2")
    assert specs(cluster) == by_stock
    cluster.docker("stack", "rm", "shop")
    wait_for("the stack to go", lambda: not cluster.service_names())
    wait_for(
        "the network to go", lambda: "shop_default" not in str(cluster.api("GET", "/networks"))
    )
    cluster.deploy("shop", services("1"))
    assert [number for number, _ in history(cluster)] == [1]
