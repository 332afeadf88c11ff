"""The data plane of one node in a world of its own: namespaces and rules, neither engine nor peers."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cluster.errors import NotFound
from cluster.model.ids import NetworkId, ServiceId
from cluster.model.network_view import IngressView, NetworkView, NodeView, PublishedPort
from cluster.network import namespaces
from cluster.network.engine_listing import EnginePlaces
from cluster.network.names import (
    NAMESPACE_PREFIX,
    TABLE,
    UPLINK_HOST,
    UPLINK_INSIDE,
    namespace_name,
)
from cluster.network.node_network import NodeNetwork
from cluster.network.stored_state import EngineEndpoint

CLONE_NEWNS = 0x20000
LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
FRONT = NetworkView(
    id=NetworkId("front000"), name="front", vni=1, subnet="10.0.1.0/24", gateway="10.0.1.1"
)
EMPTY = NodeView(own_index=1, own_address="127.0.0.1")
WITH_FRONT = msgspec.structs.replace(EMPTY, networks=(FRONT,))
PLACE = EngineEndpoint(engine_network="e", network_id=FRONT.id, address="10.0.1.9", prefix=24)
ENDPOINT = "abcdef0123456789"


def ingress(network_id: str, vni: int) -> IngressView:
    return IngressView(
        network=NetworkView(
            id=NetworkId(network_id),
            name="ingress",
            vni=vni,
            subnet="10.255.0.0/16",
            gateway="10.255.255.254",
        ),
        own_address="10.255.0.1",
        node_addresses={1: "10.255.0.1"},
        ports=(
            PublishedPort(
                protocol="tcp", published_port=8080, target_port=80, service_id=ServiceId("web")
            ),
        ),
    )


def in_own_world(folder: Path, act: Callable[[NodeNetwork], None]) -> None:
    """Do something with a node's network in network and mount namespaces of its own."""

    def body() -> None:
        if LIBC.unshare(namespaces.CLONE_NEWNET | CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        for command in (
            "mount --make-rprivate /",
            "mkdir -p /run/netns",
            "mount -t tmpfs none /run/netns",
            "ip link set lo up",
        ):
            subprocess.run(command.split(), check=True, timeout=60)
        network = NodeNetwork(folder)
        try:
            act(network)
        finally:
            network.close()

    namespaces.in_thread(body)


def spaces() -> set[str]:
    return namespaces.names(NAMESPACE_PREFIX)


def test_a_process_that_lost_its_state_takes_nothing_for_a_leftover(tmp_path: Path) -> None:
    def act(network: NodeNetwork) -> None:
        draining = namespace_name("draining")
        front = namespace_name(FRONT.id)
        for name in (draining, front):
            namespaces.create(name)
        network.verify(thoroughly=True)  # nobody has told anything yet
        assert spaces() == {draining, front}
        assert not network.leftovers()
        assert network.set_view(WITH_FRONT) == {}
        network.verify(thoroughly=True)  # the engine may have containers that are not known here
        assert spaces() == {draining, front}
        kept = msgspec.structs.replace(PLACE, network_id="draining", sandbox="s")
        network.adopt(EnginePlaces({"e": "draining"}, {ENDPOINT: kept}))
        network.verify(thoroughly=True)
        assert spaces() == {draining, front}
        network.remove_endpoint(ENDPOINT)
        network.verify(thoroughly=True)
        assert spaces() == {front}

    in_own_world(tmp_path, act)


def test_links_of_containers_that_only_the_engine_knows_stay(tmp_path: Path) -> None:
    def act(network: NodeNetwork) -> None:
        network.set_view(WITH_FRONT)
        network.adopt(EnginePlaces({"e": FRONT.id}, {}))
        network.add_endpoint(ENDPOINT, PLACE)
        network.join(ENDPOINT, "sandbox")
        network.close()
        (tmp_path / "network.json").unlink()
        anew = NodeNetwork(tmp_path)
        try:
            assert anew.set_view(WITH_FRONT) == {}
            anew.verify(thoroughly=True)
            with pytest.raises(NotFound, match="try again"):
                anew.engine_network("e")
            joined = msgspec.structs.replace(PLACE, sandbox="sandbox")
            anew.adopt(EnginePlaces({"e": FRONT.id}, {ENDPOINT: joined}))
            anew.verify(thoroughly=True)
            assert anew.engine_network("e") == FRONT.id
            (place,) = anew.status()["networks"][0]["endpoints"]
            assert place["joined"]
            assert place["link"]
        finally:
            anew.close()

    in_own_world(tmp_path, act)


def test_an_unknown_network_of_the_engine_is_asked_for(tmp_path: Path) -> None:
    def act(network: NodeNetwork) -> None:
        network.adopt(EnginePlaces({}, {}))
        assert not network.is_partial
        with pytest.raises(NotFound, match="the engine is being asked for it"):
            network.engine_network("e")
        assert network.is_partial

    in_own_world(tmp_path, act)


def test_an_ingress_network_that_was_made_anew_takes_the_place_of_the_former(
    tmp_path: Path,
) -> None:
    def act(network: NodeNetwork) -> None:
        for network_id, vni in (("ingress1", 7), ("ingress2", 8)):
            view = msgspec.structs.replace(EMPTY, ingress=ingress(network_id, vni))
            assert network.set_view(view) == {}
            assert network.verify(thoroughly=True) == {}
            assert network.is_as_wanted
            name = namespace_name(network_id)
            assert spaces() == {name}
            inside = ("nsenter", f"--net=/run/netns/{name}")
            assert UPLINK_INSIDE in said(*inside, "ip", "link")
            assert "8080" in said(*inside, "nft", "list", "table", "ip", TABLE)
            assert UPLINK_HOST in said("ip", "link")
            assert "8080" in said("nft", "list", "table", "ip", TABLE)

    in_own_world(tmp_path, act)


def said(*command: str) -> str:
    return subprocess.run(command, check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
