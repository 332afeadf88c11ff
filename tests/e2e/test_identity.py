"""Who is believed: roots that change under a running cluster, locked managers, copies of a cluster."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, MANAGER, Cluster, idle, wait_for
from tests.support.lab_host import kill, running

AWAY = 3


def tls_status(cluster: Cluster) -> dict[str, str]:
    """What `docker node ls` says of each node's certificate, by host name."""
    listed = cluster.docker("node", "ls", "--format", "{{.Hostname}} {{.TLSStatus}}").stdout
    return dict(line.split(maxsplit=1) for line in listed.splitlines())


def swarm(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = cluster.api("GET", "/swarm")
    return found


def test_the_root_is_replaced_while_a_node_is_away_and_nobody_is_lost(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    cluster.wait_running("shop_web", 3)
    before, kept = swarm(cluster), cluster.container_ids("shop_web")
    with measure("replace the root of three nodes"):
        cluster.docker("swarm", "ca", "--rotate", "--quiet")
    first = swarm(cluster)
    assert not first["RootRotationInProgress"]
    assert first["TLSInfo"]["TrustRoot"] != before["TLSInfo"]["TrustRoot"]
    assert first["JoinTokens"]["Worker"] != before["JoinTokens"]["Worker"]
    assert tls_status(cluster) == {"h1": "Ready", "h2": "Ready", "h3": "Ready"}
    assert cluster.container_ids("shop_web") == kept

    cluster.lab.kill_stackd(AWAY)
    cluster.wait_for_node(AWAY, "down")
    with measure("replace the root while a node is away"):
        cluster.stack("cluster", "ca", "--rotate")
    second = swarm(cluster)
    assert second["TLSInfo"]["TrustRoot"] != first["TLSInfo"]["TrustRoot"]
    expected = {"h1": "Ready", "h2": "Ready", "h3": "Needs Rotation"}
    wait_for("the others to trust the new root", lambda: tls_status(cluster) == expected)

    cluster.lab.start_stackd(AWAY)
    with measure("a node that slept through it is ready and has a new certificate"):
        cluster.wait_for_node(AWAY, "ready")
        wait_for("h3 to renew", lambda: tls_status(cluster)["h3"] == "Ready")
    cluster.wait_running("shop_web", 3)

    # The tokens of the new root let nodes in, the old ones do not.
    cluster.stack("cluster", "leave", host=AWAY)
    cluster.stack("node", "rm", "h3")
    manager = f"{cluster.address(MANAGER)}:2377"
    old = before["JoinTokens"]["Worker"]
    said = cluster.stack("cluster", "join", "--token", old, manager, host=AWAY, code=1)
    assert "another cluster" in said.stderr
    cluster.join(AWAY)
    cluster.wait_for_node(AWAY, "ready")


@pytest.fixture
def locking(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, which is without a lock again afterwards, whatever became of it."""
    yield cluster
    if cluster.swarm_state(MANAGER)["LocalNodeState"] == "locked":
        cluster.stack("cluster", "leave", "--force")
    else:
        cluster.docker("swarm", "update", "--autolock=false")


def is_wrapped(node_key: Path, *, unlike: bytes = b"") -> bool:
    """Whether everything on a host's disk is wrapped, by another node key than before."""
    content = node_key.read_bytes()
    is_complete = bool(json.loads(content).get("is_complete"))
    return content != unlike and is_complete


def restart(cluster: Cluster, host: int) -> None:
    cluster.lab.kill_stackd(host)
    cluster.lab.start_stackd(host)


def test_a_locked_manager_needs_its_key_and_its_tasks_go_on(
    locking: Cluster, measure: Measure
) -> None:
    cluster = locking
    cluster.deploy("till", {"web": idle(replicas=3)})
    cluster.wait_running("till_web", 3)
    kept = cluster.container_ids("till_web")
    said = cluster.docker("swarm", "update", "--autolock=true").stdout
    key = next(word for word in said.split() if word.startswith("SWMKEY-1-"))
    assert cluster.stack("cluster", "unlock-key", "-q").stdout.strip() == key
    node_key = cluster.lab.host(MANAGER).folder / "stackd" / "node-key"
    wait_for("the keys to be wrapped", lambda: is_wrapped(node_key))

    restart(cluster, MANAGER)
    wait_for("h1 to be locked", lambda: cluster.swarm_state(MANAGER)["LocalNodeState"] == "locked")
    refusal = cluster.docker("node", "ls", code=1).stderr
    assert "Swarm is encrypted and needs to be unlocked before it can be used" in refusal
    assert "is encrypted" in cluster.stack("ls", code=1).stderr
    wrong = key[:-4] + ("AAAA" if not key.endswith("AAAA") else "BBBB")
    assert "invalid key" in cluster.docker("swarm", "unlock", code=1, stdin=wrong).stderr
    assert cluster.swarm_state(MANAGER)["LocalNodeState"] == "locked"
    with measure("unlock a manager"):
        cluster.docker("swarm", "unlock", stdin=key)
    assert cluster.swarm_state(MANAGER)["LocalNodeState"] == "active"
    wait_for("all nodes to be ready", lambda: len(cluster._ready_ids()) == len(HOSTS))
    cluster.wait_running("till_web", 3)
    assert cluster.container_ids("till_web") == kept

    old = node_key.read_bytes()
    fresh = cluster.stack("cluster", "unlock-key", "--rotate", "-q").stdout.strip()
    assert fresh != key
    wait_for("another key to be asked for", lambda: is_wrapped(node_key, unlike=old))
    restart(cluster, MANAGER)
    wait_for("h1 to be locked", lambda: cluster.swarm_state(MANAGER)["LocalNodeState"] == "locked")
    said = cluster.stack("cluster", "unlock", code=1, env={"STACK_UNLOCK_KEY": key}).stderr
    assert "invalid key" in said
    cluster.stack("cluster", "unlock", env={"STACK_UNLOCK_KEY": fresh})
    cluster.docker("swarm", "update", "--autolock=false")
    wait_for("the keys to be in clear", lambda: not node_key.exists())
    restart(cluster, MANAGER)
    wait_for("h1 to lead", lambda: cluster.api("GET", "/swarm"))
    cluster.wait_running("till_web", 3)
    assert cluster.container_ids("till_web") == kept


OTHERS = (2, 3)


def all_manage(cluster: Cluster, host: int) -> bool:
    """Whether all three hosts are managers that reach each other, as one of them sees it."""
    nodes = cluster.api("GET", "/nodes", host=host)
    reachable = [(n.get("ManagerStatus") or {}).get("Reachability") for n in nodes]
    return reachable == ["reachable"] * len(HOSTS)


def all_vote(cluster: Cluster) -> bool:
    """Whether the newest word of h1 is that three members vote and none is still catching up."""
    log = (cluster.lab.host(MANAGER).folder / "stackd.log").read_text()
    words = [line for line in log.splitlines() if 'event="raft members"' in line]
    return bool(words) and words[-1].count(",") == 2 and "learners=()" in words[-1]


@pytest.fixture
def managers(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with all hosts as managers; afterwards h2 and h3 are workers again."""
    cluster.docker("node", "promote", "h2", "h3")
    for host in OTHERS:
        wait_for("all to manage", partial(all_manage, cluster, host))
    wait_for("all to vote", lambda: all_vote(cluster))
    yield cluster
    for host in HOSTS:
        cluster.lab.start_stackd(host)
    wait_for("all to manage again", lambda: all_manage(cluster, MANAGER))
    cluster.docker("swarm", "update", "--autolock=false")
    for host in OTHERS:  # one after the other: those that remain must be able to go on
        name = f"h{host}"
        wait_for(f"{name} to be demoted", partial(cluster.docker, "node", "demote", name))
        wait_for(f"{name} to be a worker", partial(is_worker, cluster, host))


def is_worker(cluster: Cluster, host: int) -> bool:
    """Whether a host is no manager any more, by its own word and the manager's."""
    node = cluster.node(host)
    return not cluster.swarm_state(host)["ControlAvailable"] and "ManagerStatus" not in node


def test_the_replacement_of_the_root_outlives_its_leader(
    managers: Cluster, measure: Measure
) -> None:
    cluster = managers
    before = swarm(cluster)["TLSInfo"]["TrustRoot"]
    third = running(cluster.lab.host(3), "stackd")
    kill(third, signal.SIGSTOP)  # so that it cannot be over too soon
    cluster.docker("swarm", "ca", "--rotate", "--detach")
    assert swarm(cluster)["RootRotationInProgress"]
    cluster.lab.kill_stackd(MANAGER)
    kill(third, signal.SIGCONT)

    # A manager that is away is waited for: without it the others might be too few one day.
    wait_for("the others to go on", lambda: cluster.api("GET", "/nodes", host=2))
    cluster.lab.start_stackd(MANAGER)

    def is_over() -> bool:
        found = cluster.api("GET", "/swarm", host=2)
        return not found["RootRotationInProgress"] and found["TLSInfo"]["TrustRoot"] != before

    with measure("another leader ends the replacement of the root once all managers are back"):
        wait_for("another leader to end it", is_over)
    ready = {"h1": "Ready", "h2": "Ready", "h3": "Ready"}
    wait_for("all to have followed", lambda: tls_status(cluster) == ready)
    assert all_manage(cluster, MANAGER)


def test_one_locked_manager_does_not_stop_the_others(managers: Cluster) -> None:
    cluster = managers
    said = cluster.docker("swarm", "update", "--autolock=true").stdout
    key = next(word for word in said.split() if word.startswith("SWMKEY-1-"))
    for host in HOSTS:
        node_key = cluster.lab.host(host).folder / "stackd" / "node-key"
        wait_for(f"h{host} to be wrapped", partial(is_wrapped, node_key))
    cluster.deploy("stand", {"web": idle(replicas=2)})
    restart(cluster, 2)
    wait_for("h2 to be locked", lambda: cluster.swarm_state(2)["LocalNodeState"] == "locked")
    cluster.stack("service", "scale", "stand_web=4")
    wait_for("the scale", lambda: len(cluster.running_tasks("stand_web")) == 4)
    cluster.stack("cluster", "unlock", host=2, env={"STACK_UNLOCK_KEY": key})
    wait_for("h2 to take part", lambda: all_manage(cluster, 2))

    # A worker holds no keys of the cluster, and is not locked.
    cluster.docker("node", "demote", "h3")
    node_key = cluster.lab.host(3).folder / "stackd" / "node-key"
    wait_for("h3 to be open", lambda: not node_key.exists())
    restart(cluster, 3)
    cluster.wait_for_node(3, "ready")
    cluster.docker("node", "promote", "h3")
    wait_for("h3 to be wrapped", partial(is_wrapped, node_key))


COPY = 3
PASSPHRASE = {"STACK_BACKUP_PASSPHRASE": "correct horse battery"}


def test_a_cluster_lives_on_from_its_backup_on_another_host(
    cluster: Cluster, measure: Measure, tmp_path: Path
) -> None:
    copy = tmp_path / "cluster.backup"
    cluster.deploy("store", {"web": idle(replicas=4)})
    cluster.wait_running("store_web", 4)
    with measure("back up a cluster"):
        cluster.stack("cluster", "backup", str(copy), env=PASSPHRASE)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert b"store_web" not in copy.read_bytes()
    assert "exists already" in cluster.stack("cluster", "backup", str(copy), code=2).stderr
    before = swarm(cluster)

    cluster.stack("cluster", "leave", host=COPY)
    for host in HOSTS:
        if host != COPY:
            cluster.lab.poweroff(host)
    wrong = {"STACK_BACKUP_PASSPHRASE": "another passphrase"}
    short = tmp_path / "short.backup"
    short.write_bytes(copy.read_bytes()[:-100])
    for file, passphrase, why in ((copy, wrong, "passphrase"), (short, PASSPHRASE, "cut short")):
        command = ("cluster", "restore", str(file))
        said = cluster.stack(*command, host=COPY, env=passphrase, code=1).stderr
        assert why in said
        assert cluster.swarm_state(COPY)["LocalNodeState"] == "inactive"
    with measure("restore on another host until all services run"):
        cluster.stack("cluster", "restore", str(copy), host=COPY, env=PASSPHRASE)
        wait_for(
            "all tasks to run on the one host",
            lambda: [c.host for c in cluster.containers("store_web")] == [COPY] * 4,
        )
    after = cluster.api("GET", "/swarm", host=COPY)
    assert after["ID"] == before["ID"]
    assert after["JoinTokens"] == before["JoinTokens"]
    nodes = cluster.api("GET", "/nodes", host=COPY)
    assert [n["Status"]["State"] for n in nodes if "ManagerStatus" in n] == ["ready"]
    # It is a whole cluster: it scales.
    cluster.stack("service", "scale", "store_web=5", host=COPY)
    wait_for("a fifth task", lambda: len(cluster.containers("store_web")) == 5)
