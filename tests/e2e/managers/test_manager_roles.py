"""Managers come and go while the cluster runs, and any of them answers any request."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import idle, wait_for
from tests.support.manager_group import MANAGERS, WORKERS, ManagerGroup, healed


def test_the_docker_client_does_everything_by_way_of_a_follower(
    group: ManagerGroup, tmp_path: Path
) -> None:
    follower = next(host for host in MANAGERS if host != group.leader())
    seen = tmp_path / "events"
    stream = seen.open("w")
    events = subprocess.Popen(
        [
            *("docker", "-H", f"unix://{group.lab.host(follower).stackd_socket}", "events"),
            *("--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"),
        ],
        stdout=stream,
    )
    try:
        wait_for("events", lambda: group.write(follower) and seen.read_text())
        command = ["sh", "-c", "echo hello from a task; exec sleep 1000"]
        group.docker(
            *("service", "create", "-d", "--name", "talk", "--replicas", "2"),
            *("--stop-grace-period", "1s", "stackyard/test:1", *command),
            host=follower,
        )
        wait_for("two tasks", lambda: len(group.running_tasks("talk")) == 2)
        for host in MANAGERS:
            listed = group.docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}", host=host)
            assert listed.stdout.strip() == "talk 2/2"
            shown = group.docker("service", "ps", "talk", "--format", "{{.Node}}", host=host)
            assert len(shown.stdout.split()) == 2
            nodes = group.docker(
                "node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}", host=host
            )
            assert sorted(line.split()[0] for line in nodes.stdout.splitlines()) == [
                f"h{i}" for i in (*MANAGERS, *WORKERS)
            ]
            assert nodes.stdout.count("Leader") == 1
            assert nodes.stdout.count("Reachable") == 2
        wait_for(
            "two lines of log",
            lambda: (
                group.docker("service", "logs", "--raw", "talk", host=follower).stdout.count(
                    "hello from a task"
                )
                == 2
            ),
        )
        group.docker("service", "scale", "-d", "talk=1", host=follower)
        wait_for("one task", lambda: len(group.running_tasks("talk")) == 1)
        group.docker("service", "rm", "talk", host=follower)
        wait_for("the last event", lambda: "service remove talk" in seen.read_text())
    finally:
        events.terminate()
        events.wait(timeout=30)
        stream.close()
    lines = seen.read_text().splitlines()
    assert lines.index("service create talk") < lines.index("service remove talk")


def test_a_worker_is_promoted_and_demoted(group: ManagerGroup, measure: Measure) -> None:
    host = WORKERS[0]
    node_id = group.swarm_state(host)["NodeID"]
    assert "manager" in group.answer(host, "GET", "/services")[1]
    group.docker("node", "promote", node_id)
    with measure("a promoted worker answers for the cluster"):
        wait_for("it to answer", lambda: group.api("GET", "/nodes", host=host), pause_s=0.02)
    group.wait_role(host, "manager")
    name = group.write(host)
    assert name in group.written(group.leader())
    assert group.leaders((*MANAGERS, host)) == {group.leader()}
    group.docker("node", "demote", node_id)
    group.wait_role(host, "worker")
    assert "not a swarm manager" in group.answer(host, "GET", "/services")[1]
    raft = group.lab.host(host).folder / "stackd/raft"
    wait_for("its copy of the state to be gone", lambda: not raft.exists())


def test_the_leader_is_demoted_and_promoted_again(group: ManagerGroup) -> None:
    old = group.leader()
    group.deploy("shop", {"web": idle(replicas=4)})
    before = group.container_ids()
    group.docker("node", "demote", group.swarm_state(old)["NodeID"])
    group.asked = next(host for host in MANAGERS if host != old)
    group.wait_role(old, "worker")
    assert group.leader() != old
    info = group.lab.stackd(group.leader(), "GET", "/info")
    assert any("two-manager" in text for text in info["Warnings"])
    assert "two-manager" in group.docker("info", host=group.leader()).stderr
    group.stack("node", "promote", f"h{old}", host=group.leader())
    group.wait_role(old, "manager")
    assert group.container_ids() == before


def test_a_manager_leaves_and_joins_again(group: ManagerGroup, measure: Measure) -> None:
    host = next(host for host in MANAGERS if host != group.leader())
    node_id = group.swarm_state(host)["NodeID"]
    group.asked = group.leader()
    refused = group.docker("swarm", "leave", host=host, code=1)
    assert "--force" in refused.stderr
    assert "participating as a manager" in refused.stderr
    group.docker("swarm", "leave", "--force", host=host)
    assert group.swarm_state(host)["LocalNodeState"] == "inactive"
    assert "ManagerStatus" not in group.api("GET", f"/nodes/{node_id}")
    group.docker("node", "rm", node_id)
    with measure("a manager joins"):
        group.join_as(host, "manager")
    group.wait_role(host, "manager")
    assert group.write(host) in group.written(group.leader())


def test_whoever_became_a_manager_a_moment_ago_leaves_nobody_without_majority(
    group: ManagerGroup,
) -> None:
    """It may not have heard of its vote yet, of its place in the group, or even of its role."""
    leader = group.asked = group.leader()
    first, second = (host for host in MANAGERS if host != leader)
    for host in (first, second):
        group.docker("node", "demote", group.swarm_state(host)["NodeID"])
        group.wait_role(host, "worker")

    node = group.node_of(first, ask=leader)
    path = f"/nodes/{node['ID']}/update?version={node['Version']['Index']}"
    group.api("POST", path, {**node["Spec"], "Role": "manager"})
    group.api("POST", "/swarm/leave?force=1", host=first)
    assert_forgotten(group, node["ID"])

    node_id = group.swarm_state(second)["NodeID"]
    group.api("POST", "/swarm/leave?force=1", host=second)
    group.api("DELETE", f"/nodes/{node_id}")
    group.join_as(second, "manager", at=leader)
    node_id = group.swarm_state(second)["NodeID"]
    group.api("POST", "/swarm/leave?force=1", host=second)
    assert_forgotten(group, node_id)


def assert_forgotten(group: ManagerGroup, node_id: str) -> None:
    """A node that has left counts for nothing: it can be removed, and the leader goes on."""
    shown = group.api("GET", f"/nodes/{node_id}")
    assert (shown["Spec"]["Role"], shown["Status"]["State"]) == ("worker", "down")
    assert "ManagerStatus" not in shown
    group.api("DELETE", f"/nodes/{node_id}")
    assert group.write(group.asked) in group.written(group.asked)


def test_the_leader_leaves(group: ManagerGroup) -> None:
    old = group.leader()
    rest = [host for host in MANAGERS if host != old]
    name = group.write(old)
    group.docker("swarm", "leave", "--force", host=old)
    group.asked = group.leader(rest)
    assert name in group.written(group.asked)
    assert group.write(group.asked)
    assert not [
        node
        for node in group.api("GET", "/nodes")
        if "ManagerStatus" in node and node["Status"]["State"] == "down"
    ]


def test_a_dead_manager_is_removed_once_it_is_demoted(group: ManagerGroup) -> None:
    leader = group.asked = group.leader()
    dead = next(host for host in MANAGERS if host != leader)
    node_id = group.swarm_state(dead)["NodeID"]
    with healed(group):
        group.lab.kill_stackd(dead)
        wait_for(
            "it to be down",
            lambda: group.api("GET", f"/nodes/{node_id}")["Status"]["State"] == "down",
        )
        shown = json.loads(group.docker("node", "inspect", node_id).stdout)
        assert shown[0]["ManagerStatus"]["Reachability"] == "unreachable"
        refused = group.docker("node", "rm", "--force", node_id, code=1)
        assert "must be demoted" in refused.stderr
        group.docker("node", "demote", node_id)
        wait_for(
            "its demotion", lambda: "ManagerStatus" not in group.api("GET", f"/nodes/{node_id}")
        )
        group.docker("node", "rm", "--force", node_id)
        assert len(group.api("GET", "/nodes")) == 4
        # It knows nothing of that yet; when it is back it is nobody's manager.
        group.lab.start_stackd(dead)
        assert group.answer(dead, "GET", "/nodes")[0] == 503
        group.stack("cluster", "leave", "--force", host=dead)


def test_what_would_lose_the_quorum_is_refused(group: ManagerGroup) -> None:
    leader = group.asked = group.leader()
    dead, other = (host for host in MANAGERS if host != leader)
    other_id = group.swarm_state(other)["NodeID"]
    with healed(group):
        group.lab.kill_stackd(dead)
        # also in the moment in which nobody has missed the dead one yet
        refused = group.docker("node", "demote", other_id, code=1)
        assert "loss of quorum" in refused.stderr
        wait_for(
            "the warning",
            lambda: "Without a Raft quorum" in group.answer(other, "POST", "/swarm/leave")[1],
        )
        assert group.write(other) in group.written(leader)


def test_the_last_manager_is_not_demoted(group: ManagerGroup) -> None:
    leader = group.asked = group.leader()
    for host in MANAGERS:
        if host != leader:
            group.stack("node", "demote", group.swarm_state(host)["NodeID"])
            group.wait_role(host, "worker")
    refused = group.docker("node", "demote", group.swarm_state(leader)["NodeID"], code=1)
    assert "last manager" in refused.stderr
    refused = group.docker("swarm", "leave", code=1)
    assert "last manager" in refused.stderr


@pytest.mark.parametrize("client", ["docker", "stack"])
def test_a_cluster_is_saved_from_the_loss_of_its_quorum(group: ManagerGroup, client: str) -> None:
    group.deploy(
        "shop", {"web": idle(replicas=4, placement={"constraints": ["node.role==worker"]})}
    )
    before = group.container_ids()
    saved, *lost = MANAGERS
    name = group.write(saved)
    with healed(group):
        for host in lost:
            group.lab.kill_stackd(host)
        status, text = group.answer(saved, "POST", "/configs/create", {"Name": "x", "Data": "eA=="})
        assert status == 503
        assert "look before you try again" in text or "more than half of the managers" in text
        status, text = group.answer(saved, "GET", "/services")
        assert status == 503
        assert "more than half of the managers" in text
        program, noun = (group.docker, "swarm") if client == "docker" else (group.stack, "cluster")
        program(noun, "init", "--force-new-cluster", host=saved)
        group.asked = saved
        assert name in group.written(saved)
        assert group.write(saved)
        roles = {
            n["Description"]["Hostname"]: n["Spec"]["Role"] for n in group.api("GET", "/nodes")
        }
        assert roles == {
            f"h{h}": "manager" if h == saved else "worker" for h in (*MANAGERS, *WORKERS)
        }
        for worker in WORKERS:
            group.wait_for_node(worker, "ready")
        assert group.container_ids() == before
        # Those who were lost come back as workers.
        for host in lost:
            group.lab.start_stackd(host)
    for host in lost:
        group.wait_role(host, "worker")


def change_address(group: ManagerGroup, host: int, address: str) -> None:
    """Give a host another address in place of the one it has."""
    group.lab.enter(host, "ip", "address", "flush", "dev", "eth0")
    group.lab.enter(host, "ip", "address", "add", f"{address}/24", "dev", "eth0")


def test_a_manager_moves_to_another_address(group: ManagerGroup) -> None:
    leader = group.asked = group.leader()
    host = next(host for host in MANAGERS if host != leader)
    moved = group.address(50)
    node_id = group.swarm_state(host)["NodeID"]
    old = group.address(host)
    try:
        group.lab.kill_stackd(host)
        change_address(group, host, moved)
        group.lab.start_stackd(host, "--advertise-addr", moved)
        wait_for(
            "its new address to be known",
            lambda: (
                group.api("GET", f"/nodes/{node_id}")["ManagerStatus"]["Addr"] == f"{moved}:2377"
            ),
        )
        # It counts: the quorum of the moved one and another takes writes.
        third = next(h for h in MANAGERS if h not in (leader, host))
        with healed(group):
            group.lab.kill_stackd(third)
            name, _ = group.first_write([host])
            assert name in group.written(host)
    finally:
        group.lab.kill_stackd(host)
        change_address(group, host, old)
        group.lab.start_stackd(host, "--advertise-addr", old)
    group.asked = group.leader()
    wait_for(
        "its old address to be known",
        lambda: group.api("GET", f"/nodes/{node_id}")["ManagerStatus"]["Addr"] == f"{old}:2377",
    )
