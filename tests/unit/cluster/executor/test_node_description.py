from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument
from cluster.executor.node_description import node_description, parse_generic_resources
from cluster.model.node import EnginePlugin, NodeDescription
from cluster.model.resources import DiscreteResource, NamedResource

INFO = {
    "Name": "h1",
    "Architecture": "x86_64",
    "OSType": "linux",
    "NCPU": 2,
    "MemTotal": 1 << 30,
    "ServerVersion": "20.10.24",
    "Labels": ["zone=a", "gpu"],
    "Plugins": {"Volume": ["local"], "Network": ["host", "bridge"], "Authorization": None},
    "GenericResources": [
        {"DiscreteResourceSpec": {"Kind": "ssd", "Value": 3}},
        {"NamedResourceSpec": {"Kind": "gpu", "Value": "uuid1"}},
    ],
}


def test_the_engine_s_info_describes_the_node() -> None:
    node = node_description(INFO)
    assert node.hostname == "h1"
    assert (node.platform.architecture, node.platform.os) == ("x86_64", "linux")
    assert node.resources.nano_cpus == 2_000_000_000
    assert node.resources.memory_bytes == 1 << 30
    assert node.engine.engine_version == "20.10.24"
    assert node.engine.labels == {"zone": "a", "gpu": ""}
    assert node.engine.plugins == (
        EnginePlugin(type="Network", name="bridge"),
        EnginePlugin(type="Network", name="host"),
        EnginePlugin(type="Volume", name="local"),
    )
    discrete, named = node.resources.generic_resources
    assert discrete.discrete_resource_spec is not None
    assert discrete.discrete_resource_spec.value == 3
    assert named.named_resource_spec is not None
    assert named.named_resource_spec.value == "uuid1"


def test_the_order_of_the_answer_does_not_matter() -> None:
    other = {**INFO, "Plugins": {"Network": ["bridge", "host"], "Volume": ["local"]}}
    other["Labels"] = ["gpu", "zone=a"]
    assert node_description(other) == node_description(INFO)


def test_an_empty_answer_is_an_empty_description() -> None:
    assert node_description({}) == NodeDescription()


def test_the_owner_of_a_node_names_its_generic_resources() -> None:
    counted, first, second = parse_generic_resources(("ssd=4", "gpu=ID-1,gpu=ID-2"))
    assert counted.discrete_resource_spec == DiscreteResource(kind="ssd", value=4)
    assert first.named_resource_spec == NamedResource(kind="gpu", value="ID-1")
    assert second.named_resource_spec == NamedResource(kind="gpu", value="ID-2")


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (("ssd",), "write KIND=NUMBER"),
        (("=4",), "write KIND=NUMBER"),
        (("ssd=1", "ssd=2"), "counted twice"),
        (("gpu=a", "gpu=a"), "given twice"),
        (("gpu=a", "gpu=2"), "both counted and named"),
    ],
)
def test_wrong_generic_resources_are_named(texts: tuple[str, ...], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        parse_generic_resources(texts)
