"""An engine that does not let go of a network, and one that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.errors import FailedPrecondition, PermissionDenied, Unavailable
from cluster.executor.engine_networks import EngineNetworks
from cluster.model.ids import ClusterId, NetworkId
from cluster.model.network_view import NetworkView

FORMER = NetworkView(
    id=NetworkId("former"), name="front", vni=1, subnet="10.0.1.0/24", gateway="10.0.1.1"
)
NEW = NetworkView(
    id=NetworkId("new"), name="front", vni=2, subnet="10.0.2.0/24", gateway="10.0.2.1"
)


class FakeEngine:
    """Networks as the engine has them.

    Attributes:
        networks: by ID.
        members: of networks, by their ID; a network that has some is in use.
        stuck: IDs of networks whose endpoints the engine has miscounted.
        leaving: networks whose members leave after the next refusal.
    """

    def __init__(self) -> None:
        self.networks: dict[str, dict[str, Any]] = {}
        self.members: dict[str, set[str]] = {}
        self.stuck: set[str] = set()
        self.leaving: set[str] = set()

    async def list_networks(self, filters: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        parts = filters.get("name", [""])
        found = list(self.networks.values())
        return [one for one in found if any(part in one["Name"] for part in parts)]

    async def network_members(self, network: str) -> dict[str, Any]:
        return {member: {} for member in self.members.get(network, ())}

    async def create_network(self, payload: dict[str, Any]) -> str:
        assert payload["Name"] not in self.names()
        network_id = f"engine{len(self.networks) + 1}"
        self.networks[network_id] = {**payload, "Id": network_id}
        return network_id

    async def remove_network(self, network: str) -> None:
        if network in self.stuck or self.members.get(network):
            if network in self.leaving:
                self.members[network] = set()
            raise PermissionDenied(f"network {network} has active endpoints")
        del self.networks[network]

    def names(self) -> list[str]:
        return [str(one["Name"]) for one in self.networks.values()]


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def networks(engine: FakeEngine) -> EngineNetworks:
    return EngineNetworks(engine, ClusterId("c"))  # type: ignore[arg-type]  # what it needs of it


async def test_a_network_is_made_once(networks: EngineNetworks, engine: FakeEngine) -> None:
    assert [await networks.ensure(NEW) for _ in range(2)] == ["front", "front"]
    assert engine.names() == ["front"]


async def test_a_network_of_the_same_name_makes_room(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    await networks.ensure(FORMER)
    assert await networks.ensure(NEW) == "front"
    assert [one["Options"] for one in engine.networks.values()] == [{"stackyard.network": "new"}]


async def test_a_former_network_is_waited_for_while_a_container_is_in_it(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    await networks.ensure(FORMER)
    engine.members["engine1"] = {"container"}
    with pytest.raises(Unavailable, match="active endpoints"):
        await networks.ensure(NEW)
    assert engine.names() == ["front"]


async def test_a_former_network_is_removed_when_its_last_container_leaves_just_now(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    await networks.ensure(FORMER)
    engine.members["engine1"], engine.leaving = {"container"}, {"engine1"}
    assert await networks.ensure(NEW) == "front"
    assert engine.names() == ["front"]


async def test_a_network_that_the_engine_keeps_for_nobody_blocks_no_task(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    await networks.ensure(FORMER)
    engine.stuck = {"engine1"}
    assert [await networks.ensure(NEW) for _ in range(2)] == ["front.new", "front.new"]
    assert engine.names() == ["front", "front.new"]


async def test_a_network_of_somebody_else_is_left_alone(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    await engine.create_network({"Name": "front", "Driver": "bridge", "Labels": {}})
    with pytest.raises(FailedPrecondition, match="has a network of that name already"):
        await networks.ensure(NEW)


async def test_what_is_not_wanted_is_removed_but_for_what_is_wanted_by_now(
    networks: EngineNetworks, engine: FakeEngine
) -> None:
    for network in (FORMER, replace(NEW, name="back")):
        await networks.ensure(network)
    wanted = {"former"}

    def is_wanted(network_id: NetworkId) -> bool:
        wanted.add("new")  # a view that comes while the engine is being asked
        return network_id in wanted

    await networks.tidy_up(is_wanted)
    assert engine.names() == ["front", "back"]
    wanted.clear()
    await networks.tidy_up(lambda network_id: network_id in wanted)
    assert not engine.names()
