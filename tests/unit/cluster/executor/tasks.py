"""Tasks for the tests of the executor."""

from __future__ import annotations

from typing import Any

from cluster.model.container import ContainerSpec
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.ids import NodeId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.service import TaskSpec
from cluster.model.task import Task


def a_task(
    container: ContainerSpec | None = None,
    *,
    ports: tuple[PortConfig, ...] = (),
    slot: int = 2,
    service_labels: dict[str, str] | None = None,
    **spec: Any,
) -> Task:
    return Task(
        id=TaskId("task"),
        meta=Meta(),
        service_id=ServiceId("service"),
        service_name="web",
        service_labels=service_labels or {},
        slot=slot,
        node_id=NodeId("node"),
        spec=TaskSpec(container_spec=container or ContainerSpec(image="app:1"), **spec),
        endpoint_spec=EndpointSpec(ports=ports),
    )
