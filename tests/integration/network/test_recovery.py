"""What dies comes back and finds its work; what is removed leaves nothing."""

import contextlib
import json
import signal

from cluster.model.ids import ServiceId
from cluster.model.network_view import PublishedPort
from tests.support.data_plane import PORT, DataPlane, Net, eventually

VIP = "10.50.1.200"


def test_connections_outlive_the_network_process_and_names_come_back(plane: DataPlane) -> None:
    entry = plane.lab.host(1).address
    with plane.holding("cli.1", VIP) as inner, plane.holding("client", entry, 8080) as outer:
        plane.lab.kill_netd(1, signal.SIGKILL)
        assert [inner.say("x"), outer.say("x")] == ["x", "x"]
        assert plane.answering("cli.1", "tcp", VIP, count=4) == {"web.1": 2, "web.2": 2}
        assert plane.answering("client", "tcp", entry, 8080, 4) == {"web.1": 2, "web.2": 2}
        plane.lab.start_netd(1)
        eventually(lambda: plane.dns("cli.1", "web") == f"0 {VIP}", "names are answered again")
        assert [inner.say("y"), outer.say("y")] == ["y", "y"]
        assert plane.answering("cli.1", "tcp", VIP, count=4) == {"web.1": 2, "web.2": 2}
    assert plane.lab.netd(1, "GET", "/status")["problems"] == {}


def test_a_network_process_that_lost_its_state_learns_it_again(plane: DataPlane) -> None:
    def endpoints() -> dict[str, list[tuple[str, bool]]]:
        found = plane.lab.netd(1, "GET", "/status")["networks"]
        return {n["id"]: [(e["address"], bool(e["link"])) for e in n["endpoints"]] for n in found}

    before = endpoints()
    assert before["frontnet00"]
    entry = plane.lab.host(1).address
    with plane.holding("cli.1", VIP) as inner, plane.holding("client", entry, 8080) as outer:
        plane.lab.kill_netd(1, signal.SIGKILL)
        (plane.lab.host(1).folder / "netd" / "network.json").unlink()
        plane.lab.start_netd(1)
        plane.send(1)
        eventually(lambda: endpoints() == before, "the engine has told of its containers")
        assert [inner.say("x"), outer.say("x")] == ["x", "x"]
        # A network that the engine made before is used for new containers.
        plane.run(1, "late.1", {"frontnet00": "10.50.1.41"})
        assert plane.ask("late.1", "tcp", "10.50.1.11") == ["web.1 10.50.1.41"]
        plane.stop("late.1")
        plane.send()
    assert endpoints() == before


def test_connections_outlive_an_engine_that_keeps_its_containers(plane: DataPlane) -> None:
    folder = plane.lab.host(1).folder / "docker"
    (folder / "daemon.json").write_text(json.dumps({"live-restore": True}))
    plane.inside("h1", "sh", "-c", "kill -HUP $(cat /run/docker.pid)")
    eventually(
        lambda: plane.lab.engine(1, "GET", "/info")["LiveRestoreEnabled"],
        "the engine has read its settings",
    )
    entry = plane.lab.host(1).address
    with contextlib.ExitStack() as stack:
        inner = [stack.enter_context(plane.holding("cli.1", VIP)) for _ in range(2)]
        outer = [stack.enter_context(plane.holding("client", entry, 8080)) for _ in range(2)]
        for held in (inner, outer):  # to the task here, and to the one elsewhere
            assert {one.peer.split()[0] for one in held} == {"web.1", "web.2"}
        plane.lab.kill_engine(1, signal.SIGTERM)
        assert [one.say("x") for one in (*inner, *outer)] == ["x"] * 4
        assert plane.answering("client", "tcp", entry, 8080, 2) == {"web.1": 1, "web.2": 1}
        plane.lab.start_engine(1)
        assert [one.say("y") for one in (*inner, *outer)] == ["y"] * 4
    assert plane.dns("cli.1", "web") == f"0 {VIP}"
    assert plane.answering("client", "tcp", plane.lab.host(1).address, 8080, 2) == {
        "web.1": 1,
        "web.2": 1,
    }


def test_a_host_that_starts_again_needs_nobody_to_tell(plane: DataPlane) -> None:
    address = plane.lab.host(3).address
    plane.lab.poweroff(3)
    plane.lab.poweron(3)
    eventually(
        lambda: plane.answering("client", "tcp", address, 8080, 2) == {"web.1": 1, "web.2": 1},
        "the node without tasks answers on published ports",
    )


def test_what_is_removed_leaves_nothing(plane: DataPlane) -> None:
    net = plane.add_network(Net("tempnet000", "temp_default", 0x100009, "10.50.9"))

    def of_host(*command: str) -> str:
        return plane.inside("h2", *command).stdout

    before = of_host("ip", "-brief", "link")
    plane.run(2, "temp.1", {net.id: "10.50.9.11"})
    assert "stknet-tempnet0" in of_host("ls", "/run/netns")
    # The network leaves the view before its container has gone.
    del plane.nets[net.id]
    plane.send()
    assert plane.ask("temp.1", "tcp", "10.50.9.11") == ["temp.1 10.50.9.11"]
    plane.stop("temp.1")
    assert "stknet-tempnet0" not in of_host("ls", "/run/netns")
    plane.lab.engine(2, "DELETE", f"/networks/sy-{net.id}")

    def names(listing: str) -> set[str]:
        return {line.split("@")[0].split()[0] for line in listing.splitlines()}

    eventually(
        lambda: names(of_host("ip", "-brief", "link")) == names(before), "the links are gone"
    )


def test_a_link_that_nobody_knows_is_removed(plane: DataPlane) -> None:
    inside = ("nsenter", "--net=/run/netns/stknet-frontnet")
    make = ("ip", "link", "add", "vdeadbeef0000", "type", "veth", "peer", "x")
    assert not plane.inside("h2", *inside, *make).returncode
    eventually(
        lambda: "vdeadbeef" not in plane.inside("h2", *inside, "ip", "link").stdout,
        "the leftover link is gone",
        limit_s=60,
    )


def test_a_forged_source_is_dropped(plane: DataPlane) -> None:
    def dropped() -> int:
        inside = ("nsenter", "--net=/run/netns/stknet-frontnet")
        lines = plane.inside("h1", *inside, "cat", "/proc/net/netstat").stdout.splitlines()
        counters = dict(zip(lines[0].split(), lines[1].split(), strict=True))
        return int(counters["IPReversePathFilter"])

    before = dropped()
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.setsockopt(socket.IPPROTO_IP, 19, 1); s.bind(('10.50.1.12', 5555));"  # IP_TRANSPARENT
        f"s.sendto(b'x', ('10.50.1.11', {PORT}))"
    )
    done = plane.inside("cli.1", "python3", "-c", script)
    assert not done.returncode, done.stderr
    assert dropped() > before
    counted = plane.lab.netd(1, "GET", "/counters")["networks"]
    (front,) = (one for one in counted if one["name"] == "shop_front")
    assert front["forged_packets"] == dropped()


def test_only_nodes_may_send_into_the_tunnels(plane: DataPlane) -> None:
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        f"s.sendto(b'x' * 60, ('{plane.lab.host(1).address}', 4789))"
    )
    plane.inside("client", "python3", "-c", script)
    rules = plane.inside("h1", "nft", "list", "table", "inet", "stackyard").stdout
    (counted,) = (line for line in rules.splitlines() if "packets" in line)
    assert "packets 0 " not in counted
    assert plane.lab.netd(1, "GET", "/counters")["refused_tunnel_packets"] > 0


def test_nothing_is_left_of_connections_to_a_port_after_its_service(plane: DataPlane) -> None:
    service = "idpassing"
    port = PublishedPort(
        protocol="tcp", published_port=8085, target_port=PORT, service_id=ServiceId(service)
    )
    where = {"frontnet00": "10.50.1.15", "ingress0net": "10.255.1.15"}
    entry = plane.lab.host(2).address
    plane.ports.append(port)
    plane.run(1, "passing.1", where, service=service)
    assert plane.ask("h2", "tcp", "127.0.0.1", 8085)[0].startswith("passing.1 ")
    with plane.holding("client", entry, 8085) as held:
        plane.ports.remove(port)
        plane.send()
        assert held.say("who is served still") == "who is served still"
        assert plane.connections("h2", 8085)
        plane.stop("passing.1")
        plane.send()
        for place in ("h2", "h2/stknet-ingress0"):
            assert not plane.connections(place, 8085), place
        assert held.say("nobody is here").startswith(("error", "closed"))


def test_a_port_of_one_node_works_beside_published_ones(plane: DataPlane) -> None:
    where = {"frontnet00": "10.50.1.14", "ingress0net": "10.255.1.14"}
    bindings = {f"{PORT}/tcp": [{"HostIp": "", "HostPort": "8090"}]}
    plane.run(1, "host.1", where, PortBindings=bindings)
    client = plane.client.address
    assert plane.ask("client", "tcp", plane.lab.host(1).address, 8090) == [f"host.1 {client}"]
    assert plane.ask("client", "tcp", plane.lab.host(2).address, 8090) == [
        "error ConnectionRefusedError"
    ]
    plane.stop("host.1")
    assert plane.ask("client", "tcp", plane.lab.host(1).address, 8090) == [
        "error ConnectionRefusedError"
    ]


def test_containers_send_no_packet_that_the_tunnel_cannot_carry(plane: DataPlane) -> None:
    links = plane.inside("cli.1", "ip", "-o", "link").stdout
    assert links.count("mtu 1450") == 2, links
