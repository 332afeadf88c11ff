from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.model.container import ContainerSpec, Driver, Mount, VolumeOptions
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import NetworkId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.model.node import EngineDescription, EnginePlugin
from cluster.model.placement import Platform
from cluster.model.resources import DiscreteResource, GenericResource, NamedResource
from cluster.model.service import NetworkAttachmentConfig, Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.scheduler.demand import demand_of
from cluster.scheduler.filters import Allowance, Pipeline, allowance_on
from cluster.scheduler.node_load import NodeLoad
from cluster.store.state import ClusterState
from tests.support.builders import GIB, make_node, make_service, make_state, make_task


def gpus(number: int) -> tuple[GenericResource, ...]:
    return (GenericResource(discrete_resource_spec=DiscreteResource(kind="gpu", value=number)),)


def named_gpus(*names: str) -> tuple[GenericResource, ...]:
    return tuple(
        GenericResource(named_resource_spec=NamedResource(kind="gpu", value=name)) for name in names
    )


def pending(service: Service, slot: int = 1) -> Task:
    return make_task("t", service, slot=slot, state=TaskState.PENDING)


def accepts(load: NodeLoad, allowance: Allowance | None = None, **spec: Any) -> bool:
    pipeline = Pipeline(demand_of(pending(make_service("web", **spec)), ClusterState()))
    return pipeline.accepts(load, allowance) if allowance else pipeline.accepts(load)


def busy(*tasks: Task, **node: Any) -> NodeLoad:
    load = NodeLoad(make_node("a", **node))
    for task in tasks:
        load.hold(task)
        load.count(task.service_id)
    return load


@pytest.mark.parametrize(
    ("node", "ready"),
    [
        ({}, True),
        ({"state": "down"}, False),
        ({"state": "unknown"}, False),
        ({"availability": "pause"}, False),
        ({"availability": "drain"}, False),
    ],
)
def test_ready(node: dict[str, str], ready: bool) -> None:
    assert accepts(busy(**node)) is ready


def test_reservations_of_tasks_that_are_there_count() -> None:
    other = make_task("o", make_service("other", cpus=3, memory=6 * GIB, generic=gpus(1)))
    load = busy(other, cpus=4, memory=8 * GIB, generic=gpus(2))
    assert accepts(load, cpus=1, memory=2 * GIB, generic=gpus(1))
    assert not accepts(load, cpus=1.1)
    assert not accepts(load, memory=2 * GIB + 1)
    assert not accepts(load, generic=gpus(2))
    assert accepts(load), "a task that reserves nothing fits anywhere"


def test_generic_resources_are_counted_by_kind() -> None:
    load = busy(generic=named_gpus("one", "two"))
    assert accepts(load, generic=gpus(2))
    assert accepts(load, generic=named_gpus("one"))
    assert not accepts(load, generic=gpus(3))
    assert not accepts(busy(), generic=gpus(1))


def test_what_former_tasks_of_the_slot_hold_is_allowed_for() -> None:
    service = make_service("web", cpus=3, host_ports=[80], generic=gpus(1))
    elder = make_task("elder", service, node="a")
    stranger = make_task("stranger", make_service("s", host_ports=[81]), node="a")
    load = busy(elder, stranger, cpus=4, generic=gpus(1))
    heir = pending(service)
    pipeline = Pipeline(demand_of(heir, ClusterState()))
    assert not pipeline.accepts(load)
    assert pipeline.accepts(load, allowance_on(load.id, heir, [elder]))
    assert not pipeline.accepts(load, allowance_on(make_node("b").id, heir, [elder]))
    assert not pipeline.accepts(load, allowance_on(load.id, pending(service, 2), []))


def test_a_port_that_another_uses_too_stays_taken() -> None:
    service = make_service("web", host_ports=[80])
    elder, other = make_task("e", service, slot=1), make_task("o", service, slot=2)
    allowance = Allowance(("web", 1), [elder])  # type: ignore[arg-type]
    pipeline = Pipeline(demand_of(pending(service), ClusterState()))
    assert pipeline.accepts(busy(elder), allowance)
    assert not pipeline.accepts(busy(elder, other), allowance)


def test_constraints() -> None:
    load = busy(labels={"zone": "x"})
    assert accepts(load, constraints=["node.labels.zone==x", "node.role==worker"])
    assert not accepts(load, constraints=["node.labels.zone==x", "node.role==manager"])


@pytest.mark.parametrize(
    ("platforms", "fits"),
    [
        ([], True),
        ([Platform(architecture="amd64", os="linux")], True),
        ([Platform(architecture="x86_64", os="Linux")], True),
        (
            [
                Platform(architecture="arm64", os="linux"),
                Platform(architecture="amd64", os="linux"),
            ],
            True,
        ),
        ([Platform(os="linux")], True),
        ([Platform()], True),
        ([Platform(architecture="aarch64", os="linux")], False),
        ([Platform(architecture="amd64", os="windows")], False),
    ],
)
def test_platforms(platforms: list[Platform], fits: bool) -> None:
    assert accepts(busy(arch="x86_64"), platforms=platforms) is fits


def test_max_replicas_count_only_the_own_service() -> None:
    web, other = make_service("web"), make_service("other")
    load = busy(make_task("t1", web), make_task("t2", other), make_task("t3", other))
    assert accepts(load, max_replicas=2)
    assert not accepts(load, max_replicas=1)


def test_the_explanation_has_the_most_frequent_reason_first() -> None:
    service = make_service(
        "web", cpus=2, constraints=["node.labels.zone==x"], host_ports=[80], max_replicas=1
    )
    port = make_task("p", make_service("other", host_ports=[80]))
    loads = [
        NodeLoad(make_node("n1", state="down")),
        NodeLoad(make_node("n2", availability="drain")),
        NodeLoad(make_node("n3", cpus=1)),
        *(NodeLoad(make_node(f"n{i}")) for i in (4, 5, 6)),
        busy(port, labels={"zone": "x"}),
        busy(make_task("t", make_service("web")), labels={"zone": "x"}),
    ]
    assert Pipeline(demand_of(pending(service), ClusterState())).explain(loads) == (
        "no suitable node (scheduling constraints not satisfied on 3 nodes; "
        "2 nodes not available for new tasks; insufficient resources on 1 node; "
        "host-mode port already in use on 1 node; max replicas per node limit exceed)"
    )


def test_the_other_texts() -> None:
    arm = make_service("web", platforms=[Platform(architecture="arm64")])
    pipeline = Pipeline(demand_of(pending(arm), ClusterState()))
    assert pipeline.explain([busy()]) == "no suitable node (unsupported platform on 1 node)"
    assert pipeline.explain([busy(state="down")]) == (
        "no suitable node (1 node not available for new tasks)"
    )
    assert pipeline.explain([]) == "no suitable node"


def test_a_node_that_has_not_described_itself_is_of_no_platform() -> None:
    load = NodeLoad(replace(make_node("a"), description=None))
    assert not accepts(load, platforms=[Platform(os="linux")])
    assert not accepts(load, cpus=1)


def test_an_empty_generic_resource_asks_for_nothing() -> None:
    assert accepts(busy(generic=(GenericResource(),)), generic=(GenericResource(),))


# -- plugins ------------------------------------------------------------------------------------


def with_plugins(*plugins: tuple[str, str]) -> NodeLoad:
    node = make_node("a")
    assert node.description is not None
    engine = EngineDescription(plugins=tuple(EnginePlugin(type=t, name=n) for t, n in plugins))
    return NodeLoad(replace(node, description=replace(node.description, engine=engine)))


def wanting(**template: Any) -> Pipeline:
    task = pending(make_service("web"))
    networks = [
        Network(id=NetworkId(name), meta=Meta(), spec=NetworkSpec(name=name, driver=name))
        for name in ("weave", "overlay")
    ]
    return Pipeline(
        demand_of(replace(task, spec=replace(task.spec, **template)), make_state(*networks))
    )


def volume(driver: str) -> ContainerSpec:
    options = VolumeOptions(driver_config=Driver(name=driver))
    return ContainerSpec(image="a", mounts=(Mount(target="/x", volume_options=options),))


def joins(network: str) -> dict[str, Any]:
    return {"networks": (NetworkAttachmentConfig(target=network),)}


LOGS = ("Log", "json-file")


@pytest.mark.parametrize(
    ("template", "plugins", "fits"),
    [
        ({"container_spec": volume("nfs")}, [("Volume", "nfs")], True),
        ({"container_spec": volume("nfs")}, [("Volume", "nfs:latest")], True),
        ({"container_spec": volume("nfs")}, [("Volume", "local"), ("Network", "nfs")], False),
        ({"container_spec": volume("local")}, [], True),
        (joins("weave"), [("Network", "weave")], True),
        (joins("weave"), [("Network", "bridge")], False),
        (joins("overlay"), [], True),
        (joins("bridge"), [], True),
        ({"log_driver": Driver(name="gelf")}, [LOGS, ("Log", "gelf")], True),
        ({"log_driver": Driver(name="gelf")}, [LOGS], False),
        ({"log_driver": Driver(name="gelf")}, [], True),  # an engine that does not say
        ({"log_driver": Driver(name="none")}, [LOGS], True),
    ],
)
def test_drivers(template: dict[str, Any], plugins: list[tuple[str, str]], fits: bool) -> None:
    load = with_plugins(*plugins)
    pipeline = wanting(**template)
    assert pipeline.accepts(load) is fits
    if not fits:
        assert pipeline.explain([load]) == "no suitable node (missing plugin on 1 node)"


def test_a_task_in_a_network_needs_a_node_that_can_join_it() -> None:
    task = pending(make_service("web"))
    place = NetworkAttachment(network_id=NetworkId("front"), address="10.0.1.3/24")
    pipeline = Pipeline(demand_of(replace(task, networks=(place,)), make_state()))
    without = with_plugins(("Network", "overlay"))
    assert pipeline.accepts(with_plugins(("Network", "stackyard")))
    assert not pipeline.accepts(without)
    assert pipeline.explain([without]) == "no suitable node (stack-netd does not run on 1 node)"
    assert Pipeline(demand_of(task, make_state())).accepts(without)
