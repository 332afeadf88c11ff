"""Published ports: on every node, from everywhere, and the server sees who calls."""

from collections import Counter

import pytest

from tests.support.data_plane import DataPlane, Held

BOTH = pytest.mark.parametrize("kind", ["tcp", "udp"])
NODES = pytest.mark.parametrize("node", [1, 2, 3])


@BOTH
@NODES
def test_every_node_answers_and_the_server_sees_the_client(
    plane: DataPlane, node: int, kind: str
) -> None:
    answers = Counter(plane.ask("client", kind, plane.lab.host(node).address, 8080, 4))
    client = plane.client.address
    assert answers == {f"web.1 {client}": 2, f"web.2 {client}": 2}


@BOTH
@NODES
def test_the_source_is_hidden_where_that_is_wanted(plane: DataPlane, node: int, kind: str) -> None:
    answers = Counter(plane.ask("client", kind, plane.lab.host(node).address, 8082, 4))
    assert answers == {f"web.1 10.255.0.{node}": 2, f"web.2 10.255.0.{node}": 2}


@BOTH
@NODES
def test_the_host_itself_reaches_its_ports(plane: DataPlane, node: int, kind: str) -> None:
    for address in ("127.0.0.1", plane.lab.host(node).address):
        answers = plane.answering(f"h{node}", kind, address, 8080, 4)
        assert answers == {"web.1": 2, "web.2": 2}


@BOTH
@pytest.mark.parametrize("place", ["web.1", "cli.1", "blog.1"])
@pytest.mark.parametrize("node", [1, 3])
def test_containers_reach_published_ports_with_or_without_one_of_their_own(
    plane: DataPlane, place: str, node: int, kind: str
) -> None:
    answers = plane.answering(place, kind, plane.lab.host(node).address, 8080, 4)
    assert answers == {"web.1": 2, "web.2": 2}


@BOTH
def test_a_port_of_the_loopback_is_not_widened(plane: DataPlane, kind: str) -> None:
    assert plane.answering("h3", kind, "127.0.0.1", 8081, 2) == {"web.1": 1, "web.2": 1}
    for place, address in (("client", "10.75.0.3"), ("h3", "10.75.0.3"), ("h1", "10.75.0.3")):
        (said,) = plane.ask(place, kind, address, 8081)
        assert said.startswith("error")


def test_the_uplink_cannot_be_addressed_from_beside(plane: DataPlane) -> None:
    way = ("169.254.90.2/32", "via", plane.lab.host(3).address)
    plane.inside("client", "ip", "route", "add", *way)
    try:
        (said,) = plane.ask("client", "tcp", "169.254.90.2", 8081)
        assert said.startswith("error")
    finally:
        plane.inside("client", "ip", "route", "delete", *way)


@BOTH
def test_published_tasks_of_different_stacks_do_not_see_each_other(
    plane: DataPlane, kind: str
) -> None:
    (said,) = plane.ask("web.1", kind, "10.255.1.12")
    assert said.startswith("error")


def test_one_client_port_may_come_in_through_all_nodes_at_once(plane: DataPlane) -> None:
    script = (
        "import socket,sys\n"
        "held = []\n"
        "for host in sys.argv[1:]:\n"
        "    s = socket.socket(); s.setsockopt(1, 15, 1); s.setsockopt(1, 2, 1); s.settimeout(4)\n"
        "    s.bind(('', 45454)); s.connect((host, 8080)); held.append(s)\n"
        "    print(s.makefile().readline().strip())\n"
    )
    nodes = [plane.lab.host(i).address for i in (1, 2, 3)]
    done = plane.inside("client", "python3", "-c", script, *nodes)
    assert len(done.stdout.splitlines()) == 3, done.stderr


def test_the_world_is_reached_through_the_host(plane: DataPlane) -> None:
    server = plane.start_in("client", "serve", "world", "9000")
    assert server.stdout
    assert server.stdin
    assert server.stdout.readline() == "ready\n"
    try:
        seen = plane.lab.host(1).address
        for place in ("web.1", "cli.1"):
            assert plane.ask(place, "tcp", plane.client.address, 9000) == [f"world {seen}"]
            assert plane.ask(place, "udp", plane.client.address, 9000) == [f"world {seen}"]
        for kind in ("tcp", "udp"):  # from a container that is in internal networks alone
            assert plane.ask("db.1", kind, plane.client.address, 9000) == ["error OSError"]
    finally:
        server.stdin.close()
        server.wait(20)
        server.stdout.close()


def test_a_published_port_is_taken_for_programs_of_the_host(plane: DataPlane) -> None:
    script = "import socket; socket.create_server(('', 8080))"
    done = plane.inside("h3", "python3", "-c", script)
    assert "Address already in use" in done.stderr


def test_a_draining_task_keeps_its_clients(plane: DataPlane) -> None:
    address = plane.lab.host(3).address

    def peer(held: Held) -> str:
        return held.peer.split()[0]

    with plane.holding("client", address, 8080) as a, plane.holding("client", address, 8080) as b:
        assert {peer(a), peer(b)} == {"web.1", "web.2"}
        with plane.states("draining", "web.2"):
            for kind in ("tcp", "udp"):
                assert plane.answering("client", kind, address, 8080, 4) == {"web.1": 4}
            assert [a.say("x"), b.say("x")] == ["x", "x"]
