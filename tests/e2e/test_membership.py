"""Hosts come into the cluster with a token, leave it, and come back."""

from __future__ import annotations

from tests.e2e.conftest import Measure
from tests.support.cluster import HOSTS, MANAGER, WORKERS, Cluster, idle, wait_for

JOINING = 3


def refused(cluster: Cluster, *command: str, host: int) -> str:
    """The one line with which a command of a host ends."""
    said = cluster.stack(*command, host=host, code=1)
    [line] = said.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def join(cluster: Cluster, token: str, address: str = "") -> tuple[str, ...]:
    """The command that joins the manager's cluster, or what is at another address."""
    address = address or f"{cluster.address(MANAGER)}:2377"
    return ("cluster", "join", "--token", token, address)


def is_clean(cluster: Cluster, host: int) -> bool:
    """Whether a host is in no cluster, and nothing of one is left on it."""
    kept = [c for c in cluster.containers(all_states=True) if c.host == host]
    state = cluster.swarm_state(host)
    return state["LocalNodeState"] == "inactive" and not state["NodeID"] and not kept


def test_a_wrong_token_is_refused_and_the_host_stays_outside(cluster: Cluster) -> None:
    token = cluster.token()
    cluster.stack("cluster", "leave", host=JOINING)
    nodes = len(cluster.api("GET", "/nodes"))
    head, secret = token.rsplit("-", 1)
    wrong_secret = f"{head}-{secret[::-1]}"
    for wrong, reason in (
        (wrong_secret, "join token"),
        ("SWMTKN-1-nonsense", "join token"),
        ("", "JoinToken: it is required"),
    ):
        line = refused(cluster, *join(cluster, wrong), host=JOINING)
        assert reason in line
        assert secret not in line
        assert is_clean(cluster, JOINING)
    assert len(cluster.api("GET", "/nodes")) == nodes
    cluster.stack(*join(cluster, token), host=JOINING)


def test_the_token_of_another_cluster_is_refused(cluster: Cluster) -> None:
    for host in WORKERS:
        cluster.stack("cluster", "leave", host=host)
    cluster.stack("cluster", "init", "--advertise-addr", cluster.address(3), host=3)
    line = refused(cluster, *join(cluster, cluster.token(host=3)), host=2)
    assert "another cluster" in line
    assert is_clean(cluster, 2)
    # Each token still opens its own cluster, and only that.
    cluster.stack(*join(cluster, cluster.token(host=3), f"{cluster.address(3)}:2377"), host=2)
    here, there = (cluster.api("GET", "/nodes", host=host) for host in (MANAGER, 3))
    ready = [n["ID"] for n in there if n["Status"]["State"] == "ready"]
    assert cluster.swarm_state(2)["NodeID"] in ready
    assert cluster.swarm_state(2)["NodeID"] not in [n["ID"] for n in here]


def test_a_rotated_token_is_void(cluster: Cluster) -> None:
    old = cluster.token()
    cluster.stack("cluster", "leave", host=JOINING)
    cluster.stack("cluster", "token", "worker", "--rotate")
    assert "join token" in refused(cluster, *join(cluster, old), host=JOINING)
    cluster.stack(*join(cluster, cluster.token()), host=JOINING)


def test_a_second_init_and_a_second_join_change_nothing(cluster: Cluster) -> None:
    token = cluster.token()
    before = [cluster.swarm_state(host)["NodeID"] for host in HOSTS]
    for host in HOSTS:
        assert "already part of a swarm" in refused(cluster, "cluster", "init", host=host)
        assert "already part of a swarm" in refused(cluster, *join(cluster, token), host=host)
    assert [cluster.swarm_state(host)["NodeID"] for host in HOSTS] == before
    assert cluster.token() == token
    assert len(cluster.api("GET", "/nodes")) == len(HOSTS)


def test_a_join_where_nobody_listens_says_so(cluster: Cluster, measure: Measure) -> None:
    token = cluster.token()
    cluster.stack("cluster", "leave", host=JOINING)
    nobody = cluster.address(50)
    closed = f"{cluster.address(2)}:2399"
    for address in (closed, nobody):
        with measure(f"refuse to join at {address}"):
            line = refused(cluster, *join(cluster, token, address), host=JOINING)
        assert address.partition(":")[0] in line
        assert is_clean(cluster, JOINING)
    cluster.stack(*join(cluster, token), host=JOINING)


def test_a_worker_that_leaves_takes_its_containers_along(
    cluster: Cluster, measure: Measure
) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    gone = {c.id for c in cluster.containers() if c.host == 2}
    node = cluster.node(2)["ID"]
    with measure("leave as a worker of two tasks"):
        cluster.stack("cluster", "leave", host=2)
    assert is_clean(cluster, 2)
    assert cluster.api("GET", f"/nodes/{node}")["Status"]["State"] == "down"
    with measure("tasks run elsewhere after a worker has left"):
        after = cluster.wait_running("shop_web", 6, without=gone)
    assert {c.host for c in after} == {1, 3}

    # The node object stays until it is removed; joining again makes a new one.
    said = cluster.stack("node", "rm", "h2").stdout
    assert said.strip() == node
    cluster.join(2)
    cluster.wait_for_node(2, "ready")
    assert cluster.node(2)["ID"] != node
    cluster.stack("service", "scale", "shop_web=9")
    nine = cluster.wait_running("shop_web", 9)
    assert [c.host for c in nine].count(2) == 3


def test_a_ready_node_is_removed_only_by_force_and_then_shut_out(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=6)})
    node = cluster.node(3)["ID"]
    assert "down" in refused(cluster, "node", "rm", "h3", host=MANAGER)
    cluster.wait_running("shop_web", 6)
    cluster.stack("node", "rm", "--force", "h3")
    wait_for(
        "six tasks on the others",
        lambda: (
            sorted(t.node for t in cluster.running_tasks("shop_web")) == ["h1"] * 3 + ["h2"] * 3
        ),
    )
    assert node not in [n["ID"] for n in cluster.api("GET", "/nodes")]
    cluster.stack("cluster", "leave", "--force", host=3)
    assert is_clean(cluster, 3)
    cluster.join(3)
    cluster.wait_for_node(3, "ready")
    cluster.wait_running("shop_web", 6)


def test_a_worker_leaves_although_no_manager_answers(cluster: Cluster, measure: Measure) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    cluster.lab.kill_stackd(MANAGER)
    with measure("leave as a worker while the manager is away"):
        cluster.stack("cluster", "leave", "--force", host=2)
    assert is_clean(cluster, 2)


def test_a_manager_leaves_only_by_force_and_forgets_everything(cluster: Cluster) -> None:
    cluster.deploy("shop", {"web": idle(replicas=3)})
    old = cluster.token()
    with cluster.unchanged("shop_web"):
        assert "--force" in refused(cluster, "cluster", "leave", host=MANAGER)
    cluster.stack("cluster", "leave", "--force", host=MANAGER)
    assert is_clean(cluster, MANAGER)
    folder = cluster.lab.host(MANAGER).folder / "stackd"
    secrets = [
        p for p in folder.rglob("*") if p.suffix in {".pem", ".key", ".crt", ".wal", ".snap"}
    ]
    assert secrets == []
    assert "not a swarm manager" in refused(cluster, "ls", host=MANAGER)

    cluster.stack("cluster", "init", "--advertise-addr", cluster.address(MANAGER))
    assert cluster.service_names() == set()
    assert [n["Description"]["Hostname"] for n in cluster.api("GET", "/nodes")] == ["h1"]
    assert cluster.token() != old
    # A worker of the old cluster does not get in by what it has; it must leave and join.
    cluster.stack("cluster", "leave", "--force", host=2)
    assert is_clean(cluster, 2)
    cluster.join(2)
    cluster.wait_for_node(2, "ready")


def test_a_host_that_left_stays_outside_when_its_stackd_starts_again(cluster: Cluster) -> None:
    cluster.stack("cluster", "leave", host=JOINING)
    cluster.lab.kill_stackd(JOINING)
    cluster.lab.start_stackd(JOINING)
    assert is_clean(cluster, JOINING)
