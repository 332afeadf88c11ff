from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from cluster.api.convert.tasks import task_json
from cluster.api.payloads.decoding import convert_tree
from cluster.model.endpoint import NetworkAttachment, PortConfig
from cluster.model.ids import NetworkId, NodeId, ServiceId, TaskId
from cluster.model.network import Ipam, Network, NetworkAllocation, NetworkSpec
from cluster.model.resources import GenericResource, NamedResource
from cluster.model.service import TaskSpec
from cluster.model.task import ContainerStatus, Task, TaskStatus
from cluster.model.task_state import TaskState
from tests.support.builders import make_service, make_state, make_task
from tests.unit.cluster.api.golden_files import as_json, golden, meta, moment

RECORDED = {
    pair: shown
    for pair, shown in golden("task-examples-by-state-and-desired").items()
    if not pair.endswith("/complete")  # jobs
} | {f"global {n}": shown for n, shown in enumerate(golden("tasks-global-2nodes"))}


def _stored(shown: dict[str, Any]) -> Task:
    status = shown["Status"]
    container = status.get("ContainerStatus")
    return Task(
        id=TaskId(shown["ID"]),
        meta=meta(shown),
        service_id=ServiceId(shown["ServiceID"]),
        service_name="web",
        slot=shown.get("Slot", 0),
        node_id=NodeId(shown.get("NodeID", "")),
        spec=convert_tree({**shown["Spec"], "Runtime": "container"}, TaskSpec),
        desired_state=TaskState[shown["DesiredState"].upper()],
        status=TaskStatus(
            state=TaskState[status["State"].upper()],
            timestamp=moment(status["Timestamp"]),
            message=status.get("Message", ""),
            error=status.get("Err", ""),
            container=container
            and ContainerStatus(
                container_id=container["ContainerID"],
                pid=container["PID"],
                exit_code=container["ExitCode"],
            ),
            ports=tuple(
                convert_tree(port, PortConfig) for port in status["PortStatus"].get("Ports", ())
            ),
        ),
    )


@pytest.mark.parametrize("pair", RECORDED)
def test_a_task_looks_as_recorded(pair: str) -> None:
    shown = RECORDED[pair]
    networks, attachments = [], []
    for attachment in shown.get("NetworksAttachments", ()):
        network = _network(attachment["Network"])
        networks.append(network)
        (address,) = attachment["Addresses"]
        attachments.append(NetworkAttachment(network_id=network.id, address=address))
    task = replace(_stored(shown), networks=tuple(attachments))
    assert as_json(task_json(task, make_state(*networks))) == shown


def _network(shown: dict[str, Any]) -> Network:
    (config,) = shown["IPAMOptions"]["Configs"]
    (vni,) = shown["DriverState"]["Options"].values()
    spec = shown["Spec"]
    return Network(
        id=NetworkId(shown["ID"]),
        meta=meta(shown),
        spec=NetworkSpec(
            name=spec["Name"],
            driver="overlay",
            labels=spec["Labels"] or None,
            ipam=Ipam() if "IPAMOptions" in spec else None,
            attachable=spec.get("Attachable", False),
            internal=spec.get("Internal", False),
            ingress=spec.get("Ingress", False),
        ),
        allocation=NetworkAllocation(
            vni=int(vni),
            subnet=config["Subnet"],
            gateway=config["Gateway"],
            ip_range=config["Subnet"],
        ),
    )


def test_a_task_shows_the_generic_resources_it_was_given() -> None:
    gpu = {"NamedResourceSpec": {"Kind": "gpu", "Value": "x"}}
    task = make_task("t", make_service("web"))
    assert "GenericResources" not in task_json(task, make_state())
    given = (GenericResource(named_resource_spec=NamedResource(kind="gpu", value="x")),)
    shown = as_json(task_json(replace(task, assigned_generic_resources=given), make_state()))
    assert shown["GenericResources"] == [gpu]
