"""Services as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from cluster.allocator.addresses import prefixed
from cluster.api.convert.objects import common_members
from cluster.api.convert.timestamps import rfc3339
from cluster.model.ids import NodeId
from cluster.model.service import (
    EXTENSIONS_MEMBER,
    Service,
    ServiceSpec,
    TaskSpec,
    UpdateStatus,
)
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.update_policy import (
    DEFAULT_MONITOR_NS,
    DEFAULT_RESTART_DELAY_NS,
    DEFAULT_STOP_GRACE_PERIOD_NS,
    UpdateConfig,
)
from cluster.store.state import ClusterState


def service_json(
    service: Service, state: ClusterState, *, insert_defaults: bool = False
) -> dict[str, Any]:
    """Return a service as the API shows it.

    Args:
        service: the stored service.
        state: knows the networks in which the service has addresses.
        insert_defaults: whether settings that nobody made appear with the values that apply.
    """
    shown = common_members(service.id, service.meta)
    shown["Spec"] = service_spec_json(service.spec, insert_defaults=insert_defaults)
    if service.previous_spec is not None:
        shown["PreviousSpec"] = service_spec_json(
            service.previous_spec, insert_defaults=insert_defaults
        )
    shown["Endpoint"] = _endpoint(service, state)
    if service.update_status is not None:
        shown["UpdateStatus"] = _update_status(service.update_status)
    if service.spec.is_job:
        shown["JobStatus"] = {"JobIteration": job_iteration_json(service.job_iteration)}
        if service.job_began_at:
            shown["JobStatus"]["LastExecution"] = rfc3339(service.job_began_at)
    return shown


def job_iteration_json(iteration: int) -> dict[str, int]:
    """Return how many times a job was changed as the API shows it: the number 0 is left out."""
    return {"Index": iteration} if iteration else {}


def service_status(
    service: Service, tasks: Iterable[Task], down_nodes: frozenset[NodeId]
) -> dict[str, int]:
    """Return how many tasks run and how many are wanted.

    Counted are slots, not tasks, and of wanted tasks only: while a task replaces another, or
    when a node that nobody hears of may still run some, or when it was made smaller this moment, a
    service never shows more than it wants.
    Of a job the present iteration counts.
    """
    running = set()
    wanted = set()
    completed = set()
    for task in tasks:
        if not task.is_wanted or task.job_iteration != service.job_iteration:
            continue
        if task.desired_state >= TaskState.RUNNING:
            wanted.add(task.place)
        if task.status.state == TaskState.RUNNING and task.node_id not in down_nodes:
            running.add(task.place)
        if task.is_of_job and task.status.state == TaskState.COMPLETE:
            completed.add(task.place)
    # clients show the completed ones of a global job out of both numbers together
    desired = _desired_tasks(service.spec, len(wanted - completed))
    return {
        # those of a smaller number that was just asked for are about to be told so
        "RunningTasks": min(len(running), desired),
        "DesiredTasks": desired,
        "CompletedTasks": len(completed),
    }


def _desired_tasks(spec: ServiceSpec, wanted: int) -> int:
    if spec.is_global:
        return wanted
    return spec.max_concurrent if spec.is_job else spec.replicas


def service_spec_json(spec: ServiceSpec, *, insert_defaults: bool = False) -> dict[str, Any]:
    """Return a service's spec as the API shows it."""
    shown: dict[str, Any] = msgspec.to_builtins(spec)
    shown["TaskTemplate"].pop(EXTENSIONS_MEMBER, None)  # the label says it
    _show_privileges(shown["TaskTemplate"])
    if insert_defaults:
        _insert_defaults(shown)
    for name in ("UpdateConfig", "RollbackConfig"):
        if name in shown:
            _show_ratio(shown[name])
    return shown


def task_spec_json(spec: TaskSpec) -> dict[str, Any]:
    """Return a task's spec as the API shows it inside a task, where the runtime is left out."""
    shown: dict[str, Any] = msgspec.to_builtins(spec)
    shown.pop("Runtime", None)
    shown.pop(EXTENSIONS_MEMBER, None)
    _show_privileges(shown)
    return shown


def _show_privileges(template: dict[str, Any]) -> None:
    """Add the two members that the engine always shows, even as null."""
    privileges = template.get("ContainerSpec", {}).get("Privileges")
    if privileges is None:
        return
    privileges.setdefault("CredentialSpec", None)
    privileges.setdefault("SELinuxContext", None)
    if privileges["CredentialSpec"] is not None:
        for name in ("Config", "File", "Registry"):
            privileges["CredentialSpec"].setdefault(name, "")


def _show_ratio(config: dict[str, Any]) -> None:
    """Write a whole number without a fraction, as Go does."""
    ratio = config["MaxFailureRatio"]
    if ratio == int(ratio):
        config["MaxFailureRatio"] = int(ratio)


def _endpoint(service: Service, state: ClusterState) -> dict[str, Any]:
    spec, given = service.spec.endpoint_spec, service.endpoint
    shown: dict[str, Any] = {"Spec": {}}
    if given.ports or given.virtual_ips:
        shown["Spec"] = {"Mode": "vip"} | (msgspec.to_builtins(spec) if spec else {})
    if given.ports:
        shown["Ports"] = msgspec.to_builtins(given.ports)
    addresses = [
        {"NetworkID": network.id, "Addr": prefixed(network, ip.address)}
        for ip in given.virtual_ips
        if (network := state.network(ip.network_id)) is not None
    ]
    if addresses:
        shown["VirtualIPs"] = addresses
    return shown


def _update_status(status: UpdateStatus) -> dict[str, Any]:
    shown: dict[str, Any] = {"State": status.state}
    if status.started_at:
        shown["StartedAt"] = rfc3339(status.started_at)
    if status.completed_at:
        shown["CompletedAt"] = rfc3339(status.completed_at)
    if status.message:
        shown["Message"] = status.message
    return shown


def _insert_defaults(spec: dict[str, Any]) -> None:
    template = spec["TaskTemplate"]
    container = template.get("ContainerSpec")
    if container is not None:
        container.setdefault("StopGracePeriod", DEFAULT_STOP_GRACE_PERIOD_NS)
    policy = template.setdefault("RestartPolicy", {})
    policy.setdefault("Condition", "any")
    policy.setdefault("Delay", DEFAULT_RESTART_DELAY_NS)
    policy.setdefault("MaxAttempts", 0)
    for name in ("UpdateConfig", "RollbackConfig"):
        config = spec.setdefault(name, msgspec.to_builtins(UpdateConfig()))
        config.setdefault("FailureAction", "pause")
        config.setdefault("Monitor", DEFAULT_MONITOR_NS)
        config.setdefault("Order", "stop-first")
