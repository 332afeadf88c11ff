"""Ports of mode ingress: every node answers, and the server sees who calls."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.client_host import ClientHost
from tests.support.cluster import HOSTS, Cluster, Container, idle, wait_for
from tests.support.lab_host import ROOT
from tests.support.probe_service import PORT, PROBE, both, load, probe, server

BOTH = pytest.mark.parametrize("kind", ["tcp", "udp"])
TWO_HOSTS = {"constraints": ["node.hostname != h3"], "max_replicas_per_node": 1}


@pytest.fixture
def client(cluster: Cluster) -> Iterator[ClientHost]:
    with ClientHost(cluster.lab).plugged_in() as host:
        yield host


def from_client(client: ClientHost, *arguments: object) -> list[str]:
    return client.run(*probe("ask", *arguments)).stdout.splitlines()


def from_host(cluster: Cluster, host: int, *arguments: object) -> list[str]:
    return cluster.lab.enter(host, *probe("ask", *arguments)).stdout.splitlines()


def from_container(cluster: Cluster, container: Container, *arguments: object) -> list[str]:
    command = ("python3", "-c", PROBE.read_text(), "ask", *map(str, arguments))
    return cluster.lab.enter(
        container.host, "docker", "exec", container.id, *command
    ).stdout.splitlines()


def names(answers: list[str]) -> Counter[str]:
    return Counter(answer.split()[0] for answer in answers)


def answers_everywhere(cluster: Cluster, client: ClientHost, port: int, wanted: set[str]) -> None:
    """Wait until each node's port leads to exactly these tasks."""
    for host in HOSTS:
        ask = partial(from_client, client, "tcp", cluster.address(host), port, 2 * len(wanted))
        wait_for(
            f"h{host}:{port} to lead to {wanted}",
            lambda ask=ask: names(ask()) == dict.fromkeys(wanted, 2),
        )


@BOTH
def test_every_node_answers_and_the_server_sees_the_client(
    cluster: Cluster, client: ClientHost, kind: str
) -> None:
    for host in HOSTS:
        cluster.lab.enter(host, "iptables", "-P", "FORWARD", "DROP")  # as Docker has it by default
    cluster.deploy("shop", {"web": server(*both(8080), placement=TWO_HOSTS)})
    web = cluster.wait_running("shop_web", 2)
    assert {container.host for container in web} == {1, 2}
    answers_everywhere(cluster, client, 8080, {"1", "2"})
    for host in HOSTS:
        answers = Counter(from_client(client, kind, cluster.address(host), 8080, 4))
        assert answers == {f"1 {client.address}": 2, f"2 {client.address}": 2}, f"h{host}"
    line = cluster.docker("service", "ls", "--format", "{{.Name}} {{.Ports}}").stdout
    assert line.strip() == "shop_web *:8080->8000/tcp, *:8080->8000/udp"


@BOTH
def test_hosts_and_containers_reach_a_port_like_anybody(
    cluster: Cluster, client: ClientHost, kind: str
) -> None:
    services = {
        "web": server(*both(8080), placement=TWO_HOSTS),
        "other": idle(mode="global"),
    }
    cluster.deploy("shop", services)
    web = cluster.wait_running("shop_web", 2)
    others = cluster.wait_running("shop_other", len(HOSTS))
    answers_everywhere(cluster, client, 8080, {"1", "2"})
    for host in HOSTS:
        for address in ("127.0.0.1", cluster.address(host)):
            answers = names(from_host(cluster, host, kind, address, 8080, 4))
            assert answers == {"1": 2, "2": 2}, f"h{host} to {address}"
    for container in (web[0], *others):
        for host in (container.host, 3):
            address = cluster.address(host)
            answers = names(from_container(cluster, container, kind, address, 8080, 4))
            assert answers == {"1": 2, "2": 2}, f"{container.service} on h{container.host}"
    for container in (web[0], *others):
        answers = names(from_container(cluster, container, kind, "web", PORT, 4))
        assert answers == {"1": 2, "2": 2}, f"h{container.host}"
    for container in (others[0], others[-1]):
        answers = names(from_container(cluster, container, kind, "tasks.web", PORT, 1))
        assert answers in ({"1": 1}, {"2": 1}), f"h{container.host}"


@BOTH
def test_an_address_of_a_port_is_never_widened(
    cluster: Cluster, client: ClientHost, kind: str
) -> None:
    on_h2 = cluster.address(2)
    services = {
        "mesh": server(
            f"127.0.0.1:8081:{PORT}/{kind}",
            *both(8082, host_ip=on_h2),
            *both(8083, **{"x-hide-client": True}),
            replicas=1,
        ),
        "node": server(*both(8084, mode="host", host_ip="127.0.0.1"), mode="global"),
    }
    del services["node"]["deploy"]["replicas"]
    cluster.deploy("shop", services)
    cluster.wait_running("shop_mesh", 1)
    cluster.wait_running("shop_node", len(HOSTS))
    answers_everywhere(cluster, client, 8083, {"1"})
    for host in HOSTS:
        for port in (8081, 8084):
            assert len(from_host(cluster, host, kind, "127.0.0.1", port, 1)[0].split()) == 2
            for said in (
                from_host(cluster, host, kind, cluster.address(host), port, 1),
                from_client(client, kind, cluster.address(host), port, 1),
            ):
                assert said[0].startswith("error"), f"h{host}:{port}: {said}"
        said = from_client(client, kind, cluster.address(host), 8082, 1)
        assert said == [f"1 {client.address}"] if host == 2 else said[0].startswith("error")
        (hidden,) = from_client(client, kind, cluster.address(host), 8083, 1)
        node = cluster.node(host)
        assert hidden.split()[1] != client.address, f"h{host}: {node['ID']} {hidden}"


def test_a_port_in_mode_host_beside_one_in_mode_ingress(
    cluster: Cluster, client: ClientHost
) -> None:
    ports = [*both(8080), *both(9090, mode="host")]
    cluster.deploy("shop", {"web": server(*ports, replicas=1)})
    (web,) = cluster.wait_running("shop_web", 1)
    answers_everywhere(cluster, client, 8080, {"1"})
    for host in HOSTS:
        for kind in ("tcp", "udp"):
            said = from_client(client, kind, cluster.address(host), 9090, 1)
            if host == web.host:
                assert said == [f"1 {client.address}"]
            else:
                assert said[0].startswith("error")


def test_a_port_follows_its_tasks(cluster: Cluster, client: ClientHost) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}")})
    cluster.wait_running("shop_web", 2)
    answers_everywhere(cluster, client, 8080, {"1", "2"})
    cluster.stack("service", "scale", "shop_web=3")
    web = cluster.wait_running("shop_web", 3)
    answers_everywhere(cluster, client, 8080, {"1", "2", "3"})
    cluster.stack("node", "drain", "h2")
    cluster.wait_running("shop_web", 3, without=[c.id for c in web if c.host == 2])
    answers_everywhere(cluster, client, 8080, {"1", "2", "3"})
    cluster.stack("service", "scale", "shop_web=1")
    cluster.wait_running("shop_web", 1)
    answers_everywhere(cluster, client, 8080, {"1"})


def test_updates_scaling_and_drains_lose_next_to_no_request(
    cluster: Cluster, client: ClientHost
) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}", replicas=3)})
    web = cluster.wait_running("shop_web", 3)
    answers_everywhere(cluster, client, 8080, {"1", "2", "3"})
    nodes = [cluster.address(host) for host in HOSTS]
    with load(client.argv(*probe("load", 8080, *nodes))) as tally:
        cluster.docker("service", "update", "--detach", "--force", "shop_web")
        web = cluster.wait_running("shop_web", 3, without=[c.id for c in web])
        cluster.stack("service", "scale", "shop_web=1")
        web = cluster.wait_running("shop_web", 1)
        cluster.stack("service", "scale", "shop_web=3")
        web = cluster.wait_running("shop_web", 3)
        cluster.stack("node", "drain", "h2")
        cluster.wait_running("shop_web", 3, without=[c.id for c in web if c.host == 2])
    assert tally.good > 100
    # Once in a dozen runs one connection is refused, and nobody knows yet why; docs/design/network.md.
    assert tally.bad <= 1 + tally.good // 1000, tally.errors


def test_another_number_restarts_no_task(cluster: Cluster, client: ClientHost) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}")})
    cluster.wait_running("shop_web", 2)
    answers_everywhere(cluster, client, 8080, {"1", "2"})
    before = cluster.container_ids("shop_web")
    change = ("--publish-rm", f"{PORT}", "--publish-add", f"8090:{PORT}")
    cluster.docker("service", "update", "--detach", *change, "shop_web")
    answers_everywhere(cluster, client, 8090, {"1", "2"})
    gone = f"error {ConnectionRefusedError.__name__}"
    for host in HOSTS:
        assert from_client(client, "tcp", cluster.address(host), 8080, 1) == [gone]
    assert cluster.container_ids("shop_web") == before


def test_a_taken_port_is_refused_and_free_again_after_its_service(
    cluster: Cluster, client: ClientHost
) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}")})
    cluster.wait_running("shop_web", 2)
    owner = cluster.service("shop_web")["ID"]
    taken = f"port '8080' is already in use by service 'shop_web' ({owner}) as an ingress port"
    for port in (f"8080:{PORT}", {"target": PORT, "published": 8080, "mode": "host"}):
        said = cluster.deploy("far", {"web": server(port)}, code=1)
        assert taken in said.stderr
    cluster.docker("service", "create", "--detach", "-p", str(PORT), "--name", "any", "nosuch:1")
    assert cluster.service("any")["Endpoint"]["Ports"][0]["PublishedPort"] == 30000
    cluster.stack("rm", "shop")
    cluster.deploy("far", {"web": server(f"8080:{PORT}", replicas=1)})
    cluster.wait_running("far_web", 1)
    answers_everywhere(cluster, client, 8080, {"1"})


def test_nothing_is_left_of_a_port_after_its_stack(cluster: Cluster, client: ClientHost) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}")})
    cluster.wait_running("shop_web", 2)
    answers_everywhere(cluster, client, 8080, {"1", "2"})
    cluster.stack("rm", "shop")
    remembered = (
        "from cluster.network.conntrack import Conntrack\n"
        "print(*(c for c in Conntrack().connections() if c.called_port == 8080))\n"
    )
    listing = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-c", remembered)

    def is_gone(host: int) -> bool:
        rules = cluster.lab.enter(host, "nft", "list", "tables").stdout
        links = cluster.lab.enter(host, "ip", "-o", "link").stdout
        rest = "stackyard" in rules or "stk-up" in links
        rest = rest or bool(cluster.lab.enter(host, *listing).stdout.strip())
        bound = ("python3", "-c", "import socket; socket.create_server(('', 8080))")
        return not rest and not cluster.lab.enter(host, *bound, check=False).returncode

    for host in HOSTS:
        wait_for(f"nothing left on h{host}", partial(is_gone, host))
        said = from_client(client, "tcp", cluster.address(host), 8080, 1)
        assert said == [f"error {ConnectionRefusedError.__name__}"]


@pytest.mark.parametrize("what", ["netd", "stackd"])
def test_connections_outlive_the_processes(cluster: Cluster, client: ClientHost, what: str) -> None:
    cluster.deploy("shop", {"web": server(f"8080:{PORT}", replicas=1, placement=TWO_HOSTS)})
    cluster.wait_running("shop_web", 1)
    answers_everywhere(cluster, client, 8080, {"1"})
    kill: Callable[[int], None] = getattr(cluster.lab, f"kill_{what}")
    start: Callable[[int], None] = getattr(cluster.lab, f"start_{what}")
    command = client.argv(*probe("hold", cluster.address(3), 8080))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as held:
        assert held.stdin is not None
        assert held.stdout is not None

        def says(text: str) -> str:
            held.stdin.write(f"{text}\n")
            return held.stdout.readline().strip()

        assert held.stdout.readline() == f"1 {client.address}\n"
        for host in HOSTS:
            kill(host)
        assert says("while they are away") == "while they are away"
        for host in HOSTS:
            said = from_client(client, "tcp", cluster.address(host), 8080, 1)
            assert said == [f"1 {client.address}"], f"h{host}"
        for host in HOSTS:
            start(host)
        assert says("when they are back") == "when they are back"
        cluster.deploy("shop", {"web": server(f"8080:{PORT}", f"8081:{PORT}", replicas=1)})
        answers_everywhere(cluster, client, 8081, {"1"})
        assert says("and after a change") == "and after a change"
        held.stdin.close()


def test_a_node_without_its_network_process_publishes_nothing_and_says_so(
    cluster: Cluster, client: ClientHost
) -> None:
    cluster.lab.kill_netd(3)
    Path(cluster.lab.host(3).netd_socket).unlink()
    try:
        on_h3 = {"constraints": ["node.hostname == h3"]}
        services = {
            "web": server(f"8080:{PORT}", placement=TWO_HOSTS),
            "lost": server(f"8081:{PORT}", replicas=1, placement=on_h3),
        }
        cluster.deploy("shop", services, "--detach")
        cluster.wait_running("shop_web", 2)
        for host in (1, 2):
            ask = partial(from_client, client, "tcp", cluster.address(host), 8080, 4)
            wait_for(f"h{host}", lambda ask=ask: names(ask()) == {"1": 2, "2": 2})
        assert from_client(client, "tcp", cluster.address(3), 8080, 1)[0].startswith("error")
        reason = "stack-netd does not run"
        wait_for(reason, lambda: any(reason in t.error for t in cluster.tasks("shop_lost")))
    finally:
        cluster.lab.start_netd(3)


def test_a_port_that_a_program_of_the_host_has_is_left_to_it(
    cluster: Cluster, client: ClientHost
) -> None:
    listen = "import socket; s = socket.create_server(('', 8080)); print(1, flush=True); input()"
    with subprocess.Popen(
        cluster.lab.argv_in(2, "python3", "-c", listen),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        program.stdout.readline()
        cluster.deploy("shop", {"web": server(f"8080:{PORT}", replicas=1)})
        cluster.wait_running("shop_web", 1)
        for host in (1, 3):
            ask = partial(from_client, client, "tcp", cluster.address(host), 8080, 1)
            wait_for(f"h{host}", lambda ask=ask: ask() == [f"1 {client.address}"])
        (problem,) = wait_for("its problem", lambda: cluster.lab.netd(2, "GET", "/status")["ports"])
        assert problem.startswith("port 8080/tcp cannot be published on this node")
        program.stdin.close()
    answers_everywhere(cluster, client, 8080, {"1"})
