"""Rows of the lists that several commands share: services and tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from stack.cli.rows import is_table
from stack.cli.tables import age, short_id, show
from stack.engine.client import EngineClient
from stack.engine.payloads import Json, Node, Service, ServiceStatus, Task

SERVICE_COLUMNS = {
    "ID": "ID",
    "Name": "NAME",
    "Mode": "MODE",
    "Replicas": "REPLICAS",
    "Image": "IMAGE",
    "Ports": "PORTS",
}

TASK_COLUMNS = {
    "ID": "ID",
    "Name": "NAME",
    "Image": "IMAGE",
    "Node": "NODE",
    "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE",
    "Error": "ERROR",
    "Ports": "PORTS",
}


def service_rows(services: Iterable[Service]) -> list[dict[str, str]]:
    """Rows of services that were listed with counts, in the order of their names."""
    rows = [_service_row(service) for service in services]
    return sorted(rows, key=lambda row: _natural(row["Name"]))


def _service_row(service: Service) -> dict[str, str]:
    spec = service["Spec"]
    mode = spec.get("Mode") or {}
    return {
        "ID": short_id(service["ID"]),
        "Name": spec["Name"],
        "Mode": next((name for key, name in _MODES.items() if key in mode), "replicated"),
        "Replicas": _counts(mode, service.get("ServiceStatus")),
        "Image": _image(spec.get("TaskTemplate") or {}),
        "Ports": _ports(_endpoint_ports(service)),
    }


_MODES = {"Global": "global", "ReplicatedJob": "replicated job", "GlobalJob": "global job"}


def _counts(mode: Json, status: ServiceStatus | None) -> str:
    """Running and wanted tasks; of a job, also how many have completed."""
    if not status:
        return ""
    counts = f"{status['RunningTasks']}/{status['DesiredTasks']}"
    completed = status.get("CompletedTasks", 0)
    if "ReplicatedJob" in mode:
        total = (mode["ReplicatedJob"] or {}).get("TotalCompletions", 1)
    elif "GlobalJob" in mode:
        total = status["DesiredTasks"] + completed
    else:
        return counts
    return f"{counts} ({completed}/{total} completed)"


def _endpoint_ports(service: Service) -> list[Json]:
    endpoint = service.get("Endpoint") or {}
    spec = service["Spec"].get("EndpointSpec") or {}
    return endpoint.get("Ports") or spec.get("Ports") or []


def task_rows(client: EngineClient, tasks: Iterable[Task], now_s: float) -> list[dict[str, str]]:
    """Rows of tasks: by name, the newest of each slot first."""
    tasks = sorted(tasks, key=lambda task: task.get("CreatedAt", ""), reverse=True)
    services = {one["ID"]: str(one["Spec"]["Name"]) for one in client.services()} if tasks else {}
    nodes = {one["ID"]: node_name(one) for one in client.nodes()} if tasks else {}
    rows = [_task_row(task, services, nodes, now_s) for task in tasks]
    rows.sort(key=lambda row: _natural(row["Name"]))
    return rows


def show_tasks(rows: list[dict[str, str]], *, form: str, quiet: bool) -> None:
    """Print rows of tasks; in a table, older tasks of a slot hang below the newest."""
    if is_table(form):
        previous = ""
        for row in rows:
            name = row["Name"]
            row["Name"] = f"\\_ {name}" if name == previous else name
            previous = name
    show(rows, TASK_COLUMNS, form=form, quiet=quiet)


def _task_row(
    task: Task, services: Mapping[str, str], nodes: Mapping[str, str], now_s: float
) -> dict[str, str]:
    status = task.get("Status") or {}
    service_id, node_id = task.get("ServiceID", ""), task.get("NodeID", "")
    service = services.get(service_id, service_id)
    state = status.get("State", "").capitalize()
    return {
        "ID": short_id(task["ID"]),
        "Name": f"{service}.{task.get('Slot') or node_id}",
        "Image": _image(task.get("Spec") or {}),
        "Node": nodes.get(node_id, node_id),
        "DesiredState": task.get("DesiredState", "").capitalize(),
        "CurrentState": f"{state} {age(status.get('Timestamp', ''), now_s)}".strip(),
        "Error": status.get("Err", ""),
        "Ports": _ports((status.get("PortStatus") or {}).get("Ports") or []),
    }


def node_name(node: Node) -> str:
    """A node's host name, or its ID before it has told one."""
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def _image(template: Json) -> str:
    image = str((template.get("ContainerSpec") or {}).get("Image", ""))
    return image.split("@", 1)[0]


def _ports(ports: Iterable[Json]) -> str:
    texts = []
    for port in ports:
        published = port.get("PublishedPort", 0)
        protocol = port.get("Protocol", "tcp")
        front = f"*:{published}->" if published else ""  # 0: each node chooses
        texts.append(f"{front}{port.get('TargetPort', 0)}/{protocol}")
    return ", ".join(dict.fromkeys(texts))  # an engine names IPv4 and IPv6 separately


def _natural(text: str) -> list[tuple[int, str]]:
    """A sort key that puts web.2 before web.10."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]
