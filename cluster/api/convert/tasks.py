"""Tasks as the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from cluster.api.convert.networks import attachment_json
from cluster.api.convert.objects import common_members
from cluster.api.convert.services import job_iteration_json, task_spec_json
from cluster.api.convert.timestamps import rfc3339
from cluster.model.task import Task, TaskStatus
from cluster.store.state import ClusterState


def task_json(task: Task, state: ClusterState) -> dict[str, Any]:
    """Return a task as the API shows it; `state` knows its networks."""
    shown = common_members(task.id, task.meta)
    shown["Labels"] = {}
    shown["Spec"] = task_spec_json(task.spec)
    shown["ServiceID"] = task.service_id
    if task.slot:
        shown["Slot"] = task.slot
    if task.node_id:
        shown["NodeID"] = task.node_id
    shown["Status"] = _status(task.status)
    shown["DesiredState"] = task.desired_state.spelled
    if task.assigned_generic_resources:
        shown["GenericResources"] = msgspec.to_builtins(task.assigned_generic_resources)
    attachments = [
        attachment_json(network, attachment)
        for attachment in task.networks
        if (network := state.network(attachment.network_id)) is not None
    ]
    if attachments:
        shown["NetworksAttachments"] = attachments
    if task.is_of_job:
        shown["JobIteration"] = job_iteration_json(task.job_iteration)
    return shown


def _status(status: TaskStatus) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Timestamp": rfc3339(status.timestamp),
        "State": status.state.spelled,
    }
    if status.message:
        shown["Message"] = status.message
    if status.error:
        shown["Err"] = status.error
    if status.container is not None:
        shown["ContainerStatus"] = {
            "ContainerID": status.container.container_id,
            "PID": status.container.pid,
            "ExitCode": status.container.exit_code,
        }
    shown["PortStatus"] = {"Ports": msgspec.to_builtins(status.ports)} if status.ports else {}
    return shown
