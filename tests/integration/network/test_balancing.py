"""Virtual addresses: fair, without gaps, and kind to connections that exist."""

from collections import Counter

import pytest

from cluster.network.conntrack import SYN_SENT
from tests.support.data_plane import PORT, DataPlane, eventually

VIP = "10.50.1.200"
BOTH = pytest.mark.parametrize("kind", ["tcp", "udp"])


@BOTH
def test_connections_are_spread_in_turn_and_keep_their_source(plane: DataPlane, kind: str) -> None:
    answers = plane.ask("cli.1", kind, VIP, count=20)
    assert Counter(answers) == {"web.1 10.50.1.21": 10, "web.2 10.50.1.21": 10}


@BOTH
def test_a_task_reaches_itself_through_its_services_address(plane: DataPlane, kind: str) -> None:
    answers = Counter(plane.ask("web.1", kind, VIP, count=8))
    assert answers == {"web.1 10.50.1.1": 4, "web.2 10.50.1.11": 4}


def test_every_change_begins_the_turn_elsewhere(plane: DataPlane) -> None:
    first: Counter[str] = Counter()
    for _ in range(8):
        with plane.states("draining", "web.2", hosts=(1,)):
            pass
        first += plane.answering("cli.1", "tcp", VIP)
    assert set(first) == {"web.1", "web.2"}


def test_a_draining_task_keeps_its_connections_and_gets_no_new_ones(plane: DataPlane) -> None:
    with plane.holding("cli.1", VIP) as one, plane.holding("cli.1", VIP) as other:
        kept = one if one.peer.startswith("web.2") else other
        assert kept.peer == "web.2 10.50.1.21"
        with plane.states("draining", "web.2"):
            assert plane.answering("cli.1", "tcp", VIP, count=6) == {"web.1": 6}
            assert plane.answering("cli.1", "udp", VIP, count=6) == {"web.1": 6}
            assert kept.say("still there") == "still there"
        assert kept.say("and now") == "and now"


@pytest.mark.parametrize("way", ["virtual address", "published port"])
def test_a_connection_that_cannot_be_opened_leads_elsewhere_after_a_change(
    plane: DataPlane, way: str
) -> None:
    if way == "virtual address":
        place, space = "cli.1", "h1/stknet-frontnet"
        address, port, chosen = VIP, PORT, "10.50.1.12"
    else:
        place, space = "client", "h3/stknet-ingress0"
        address, port, chosen = plane.lab.host(3).address, 8080, "10.255.1.12"
    rules = "add table ip lost; add chain ip lost in { type filter hook input priority 0; };"
    rules += f"add rule ip lost in tcp dport {PORT} tcp flags syn / syn,ack drop"

    def lost() -> list[str]:
        found = plane.connections(space, port)
        return [one for one in found if one.endswith(f" {chosen} {SYN_SENT}")]

    assert not plane.inside("web.2", "nft", rules).returncode
    with plane.start_in(place, "ask", "tcp", address, str(port), "2") as asking:
        try:
            eventually(lost, "a first packet that nobody answers")
            with plane.states("draining", "web.2"):
                assert not lost()
                said, _ = asking.communicate(timeout=60)
        finally:
            asking.kill()
            plane.inside("web.2", "nft", "delete table ip lost")
    assert [line.split()[0] for line in said.splitlines()] == ["web.1", "web.1"]


def test_connections_to_a_task_that_is_gone_are_reset_at_once(plane: DataPlane) -> None:
    where = {"frontnet00": "10.50.1.13"}
    plane.run(2, "web.3", where, service="idshop_web")
    connections = [plane.holding("cli.1", VIP) for _ in range(3)]
    with connections[0] as a, connections[1] as b, connections[2] as c:
        (lost,) = (held for held in (a, b, c) if held.peer.startswith("web.3"))
        others = [held for held in (a, b, c) if held is not lost]
        plane.stop("web.3")
        plane.send()
        assert lost.say("hello").startswith(("error", "closed"))
        assert [held.say("fine") for held in others] == ["fine", "fine"]


def test_without_anybody_behind_it_an_address_refuses_at_once(plane: DataPlane) -> None:
    with plane.states("starting", "web.1", "web.2"):
        assert plane.ask("cli.1", "tcp", VIP) == ["error ConnectionRefusedError"]
        assert plane.dns("cli.1", "web") == f"0 {VIP}"
    assert plane.answering("cli.1", "tcp", VIP, count=2) == {"web.1": 1, "web.2": 1}


def test_changes_under_load_lose_nothing(plane: DataPlane) -> None:
    load = plane.start_in("cli.1", "tally", VIP, str(PORT), "3000")
    changes = 0
    while load.poll() is None:
        with plane.states("draining", "web.2", hosts=(1,)):
            changes += 1
    output, _ = load.communicate()
    answers = dict(line.split() for line in output.splitlines())
    assert "error" not in answers
    assert sum(map(int, answers.values())) == 3000
    assert changes >= 3


def test_a_flushed_firewall_comes_back(plane: DataPlane) -> None:
    namespace = "/run/netns/stknet-frontnet"
    plane.inside("h1", "nsenter", f"--net={namespace}", "nft", "flush", "ruleset")
    eventually(
        lambda: plane.answering("cli.1", "tcp", VIP, count=2) == {"web.1": 1, "web.2": 1},
        "the virtual address is balanced again",
    )
