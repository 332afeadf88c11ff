"""Nodes give their tasks away, take no new ones, or take those that fit their labels."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import Cluster, idle, wait_for


@pytest.mark.parametrize("program", ["stack", "docker"])
def test_a_drained_node_gives_its_tasks_away_and_takes_new_ones_when_active(
    cluster: Cluster, measure: Measure, program: str
) -> None:
    command = cluster.stack if program == "stack" else cluster.docker
    cluster.deploy("shop", {"web": idle(replicas=6)})
    stay = {c.id for c in cluster.containers("shop_web") if c.host != 2}
    go = {c.id for c in cluster.containers("shop_web") if c.host == 2}
    with measure(f"drain a node of two tasks by {program} node update"):
        command("node", "update", "--availability", "drain", "h2")
        after = cluster.wait_running("shop_web", 6, without=go)
    assert {c.host for c in after} == {1, 3}
    assert {c.id for c in after} > stay
    assert {n["Hostname"]: n["Availability"] for n in cluster.rows("node", "ls")}["h2"] == "Drain"
    with cluster.unchanged("shop_web"):
        command("node", "update", "--availability", "active", "h2")
    cluster.stack("service", "scale", "shop_web=9")
    nine = cluster.wait_running("shop_web", 9)
    assert [c.host for c in nine].count(2) == 3
    assert {c.id for c in nine} > {c.id for c in after}


def test_a_paused_node_keeps_its_tasks_and_takes_no_new_ones(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    before = cluster.container_ids("shop_web")
    cluster.stack("node", "update", "--availability", "pause", "h3")
    cluster.stack("service", "scale", "shop_web=7")
    after = cluster.wait_running("shop_web", 7)
    assert {c.id for c in after} > before
    assert [c.host for c in after].count(3) == 1


def test_tasks_go_where_labels_and_constraints_say(cluster: Cluster) -> None:
    cluster.stack("node", "update", "--label-add", "zone=a", "h2")
    cluster.docker("node", "update", "--label-add", "zone=b", "h3")
    zone = ["node.labels.zone == a"]
    cluster.deploy("shop", {"web": idle(replicas=3, placement={"constraints": zone})})
    before = cluster.containers("shop_web")
    assert {c.host for c in before} == {2}

    # Without the label the node no longer fits, and no other does: the tasks wait and say why.
    cluster.stack("node", "update", "--label-rm", "zone", "h2")
    wait_for("the tasks to stop", lambda: not cluster.containers("shop_web"))

    def reasons() -> set[str]:
        return {t.error for t in cluster.tasks("shop_web") if t.state == "pending"}

    [reason] = wait_for("pending tasks with a reason", lambda: {r for r in reasons() if r})
    assert "no suitable node (scheduling constraints not satisfied on 3 nodes)" in reason

    cluster.stack("node", "update", "--label-add", "zone=a", "h3")
    after = cluster.wait_running("shop_web", 3, without={c.id for c in before})
    assert {c.host for c in after} == {3}


def test_a_constraint_may_name_host_and_role(cluster: Cluster) -> None:
    def at(*constraints: str) -> object:
        return idle(replicas=2, placement={"constraints": list(constraints)})

    cluster.deploy(
        "shop",
        {
            "on-h3": at("node.hostname == h3"),
            "on-manager": at("node.role == manager"),
            "not-h2": at("node.role == worker", "node.hostname != h2"),
        },
    )
    where = {(c.service, c.host) for c in cluster.containers()}
    assert where == {("shop_on-h3", 3), ("shop_on-manager", 1), ("shop_not-h2", 3)}


def test_a_global_service_follows_the_nodes(cluster: Cluster) -> None:
    policy = {"condition": "any", "delay": "1s"}
    everywhere = {
        "image": "stackyard/test:1",
        "deploy": {"mode": "global", "restart_policy": policy},
    }
    cluster.deploy("shop", {"agent": everywhere})
    three = cluster.wait_running("shop_agent", 3)
    assert sorted(c.host for c in three) == [1, 2, 3]
    cluster.stack("node", "update", "--availability", "drain", "h2")
    assert sorted(c.host for c in cluster.wait_running("shop_agent", 2)) == [1, 3]
    cluster.stack("node", "update", "--availability", "active", "h2")
    again = cluster.wait_running("shop_agent", 3)
    assert len({c.id for c in again} & {c.id for c in three}) == 2


def test_reservations_that_fit_nowhere_wait_until_there_is_room(cluster: Cluster) -> None:
    total = cluster.api("GET", "/info")["MemTotal"]
    reserve = {"resources": {"reservations": {"memory": str(int(total * 0.7))}}}
    said = cluster.deploy("shop", {"big": idle(replicas=4, **reserve)}, "--timeout", "2", code=4)
    assert "insufficient resources on 3 nodes" in said.stderr
    three = cluster.wait_running("shop_big", 3)
    assert sorted(c.host for c in three) == [1, 2, 3]
    cluster.stack("service", "scale", "shop_big=3")
    with cluster.unchanged("shop_big"):
        cluster.deploy("shop", {"big": idle(replicas=3, **reserve)})


def test_tasks_are_spread_anew_only_when_it_is_asked_for(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    with measure("drain a node of two tasks and wait"):
        said = cluster.stack("node", "drain", "--wait", "h3")
    assert "h3: 0 tasks left" in said.stdout
    six = cluster.wait_running("shop_web", 6)
    assert {c.host for c in six} == {1, 2}
    with cluster.unchanged("shop_web"):
        cluster.stack("node", "update", "--availability", "active", "h3")
    with measure("spread six tasks over a third node"):
        said = cluster.stack("node", "rebalance")
    assert said.stdout.splitlines()[-1] == "2 tasks moved"
    after = cluster.wait_running("shop_web", 6)
    assert sorted(c.host for c in after) == [1, 1, 2, 2, 3, 3]
    assert len({c.id for c in after} & {c.id for c in six}) == 4
    assert cluster.stack("node", "rebalance").stdout.splitlines()[-1] == "0 tasks moved"


def test_a_service_is_made_changed_and_rolled_back_without_a_file(cluster: Cluster) -> None:
    image = "stackyard/test:1"
    policy = ("--update-monitor", "1s", "--update-parallelism", "0", "--rollback-monitor", "1s")
    said = cluster.stack(
        "service", "create", "--name", "solo", "--replicas", "2", "-e", "A=1", *policy, image
    )
    assert said.stdout.splitlines()[-1] == "solo: 2/2 running"
    before = cluster.wait_running("solo", 2)
    cluster.stack("service", "update", "--env-add", "B=2", "--env-rm", "A", "solo")
    changed = cluster.wait_running("solo", 2, without={c.id for c in before})
    [env] = {
        tuple(s["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"])
        for s in cluster.api("GET", "/services")
    }
    assert env == ("B=2",)
    cluster.stack("service", "rollback", "solo")
    cluster.wait_running("solo", 2, without={c.id for c in changed})
    [env] = {
        tuple(s["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"])
        for s in cluster.api("GET", "/services")
    }
    assert env == ("A=1",)
    cluster.stack("service", "rm", "solo")
