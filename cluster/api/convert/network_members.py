"""Who is in a cluster network, as ``docker network inspect --verbose`` shows it."""

from __future__ import annotations

from typing import Any

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
    peers = [
        {"Name": node.hostname, "IP": node.status.addr}
        for node in state.nodes
        if any(
            attachment.network_id == network.id
            for task in state.tasks_of_node(node.id)
            if not task.status.state.is_terminal
            for attachment in task.networks
        )
    ]
    return {"Peers": peers, "Services": members}


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
