"""Who is in a cluster network, as ``docker network inspect --verbose`` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cluster.model.attachment import Attachment
from cluster.model.endpoint import NetworkAttachment
from cluster.model.ids import NodeId
from cluster.model.network import Network
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.store.state import ClusterState


def verbose_network_json(network: Network, state: ClusterState) -> dict[str, Any]:
    """Return the members that the parameter ``verbose`` adds: services with their running tasks."""
    members: dict[str, dict[str, Any]] = {}
    for service_id in sorted(
        {*state.services.ids("network", network.id), *state.services.ids("address", network.id)}
    ):
        service = state.services.get(service_id)
        assert service is not None
        members[service.spec.name] = {
            "VIP": next(
                (ip.address for ip in service.endpoint.virtual_ips if ip.network_id == network.id),
                "",
            ),
            "Ports": _ports(service) if network.spec.ingress else [],
            "LocalLBIndex": 0,
            "Tasks": [],
        }
    for task in state.tasks.find("network", network.id):
        if task.status.state is TaskState.RUNNING and task.service_name in members:
            members[task.service_name]["Tasks"].append(_task(task, network, state))
    if plain := _plain(network, state):
        members[""] = {"VIP": "<nil>", "Ports": [], "LocalLBIndex": 0, "Tasks": plain}
    return {"Peers": peers_json(network, state), "Services": members}


def peers_json(network: Network, state: ClusterState) -> list[dict[str, Any]]:
    """Return the nodes that are in the network."""
    return [
        {"Name": node.hostname, "IP": node.status.addr}
        for node in state.nodes
        if is_in(network, node.id, state)
    ]


def is_in(network: Network, node_id: NodeId, state: ClusterState) -> bool:
    """Whether a node has somebody in the network."""
    return any(place.network_id == network.id for place in _places_on(node_id, state))


def containers_json(network: Network, state: ClusterState, node_id: NodeId) -> dict[str, Any]:
    """Return the member ``Containers``: who of a node is in the network."""
    found: dict[str, Any] = {}
    for task in state.tasks_of_node(node_id):
        container = task.status.container
        if task.status.state is not TaskState.RUNNING or container is None:
            continue
        for attachment in task.networks:
            if attachment.network_id == network.id:
                place = _container(task.container_name, task.id, attachment.address)
                found[container.container_id] = place
    for plain in state.attachments.find("node", node_id):
        said = plain.endpoint
        if plain.network_id == network.id and said is not None and said.is_running:
            found[said.container_id] = _container(said.name, plain.id, plain.address)
    return found


def _container(name: str, endpoint_id: str, address: str) -> dict[str, Any]:
    return {
        "Name": name,
        "EndpointID": endpoint_id,
        "MacAddress": "",
        "IPv4Address": address,
        "IPv6Address": "",
    }


def _places_on(node_id: NodeId, state: ClusterState) -> Iterator[NetworkAttachment | Attachment]:
    for task in state.tasks_of_node(node_id):
        if not task.status.state.is_terminal:
            yield from task.networks
    yield from state.attachments.find("node", node_id)


def _plain(network: Network, state: ClusterState) -> list[dict[str, Any]]:
    """Return the running plain containers, as Docker Swarm shows them: of a nameless service."""
    return [
        {
            "Name": plain.endpoint.name,
            "EndpointID": plain.id,
            "EndpointIP": plain.address.partition("/")[0],
            "Info": {"Host IP": node.status.addr},
        }
        for plain in state.attachments.find("network", network.id)
        if plain.endpoint is not None
        and plain.endpoint.is_running
        and (node := state.node(plain.node_id)) is not None
    ]


def _ports(service: Service) -> list[str]:
    return [
        f"Target: {port.target_port}, Publish: {port.published_port}"
        for port in service.endpoint.ports
        if port.publish_mode != "host"
    ]


def _task(task: Task, network: Network, state: ClusterState) -> dict[str, Any]:
    node = state.node(task.node_id)
    address = next(a.address for a in task.networks if a.network_id == network.id)
    return {
        "Name": task.container_name,
        "EndpointID": task.id,
        "EndpointIP": address.partition("/")[0],
        "Info": {"Host IP": node.status.addr if node is not None else ""},
    }
