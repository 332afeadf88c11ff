"""Tasks as the API shows them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from cluster.api.convert.networks import attachment_json
from cluster.api.convert.objects import common_members
from cluster.api.convert.services import job_iteration_json, task_spec_json
from cluster.api.convert.timestamps import rfc3339
from cluster.model.attachment import Attachment
from cluster.model.endpoint import NetworkAttachment
from cluster.model.service import NetworkAttachmentConfig, TaskSpec
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.store.state import ClusterState

ATTACHMENT_RUNTIME: Final = "attachment"
"""The runtime of plain containers' places in networks, as clients name it."""


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


def attachment_task_json(place: Attachment, state: ClusterState) -> dict[str, Any]:
    """Return a plain container's place in a network as Docker Swarm shows it: a task of no service.

    It is running while the container is; a container that is not keeps its place, ready for it.
    """
    said, network = place.endpoint, state.network(place.network_id)
    wanted = attachment_desired_state(place)
    status = TaskStatus(state=wanted, message="started" if wanted is TaskState.RUNNING else "")
    if said is None:
        status = TaskStatus(state=TaskState.PREPARING)
    shown = common_members(place.id, place.meta)
    shown["Labels"] = {}
    spec = TaskSpec(networks=(NetworkAttachmentConfig(target=place.network_id),))
    shown["Spec"] = {
        "NetworkAttachmentSpec": {"ContainerID": said.container_id if said is not None else ""},
        **task_spec_json(spec),
        "Runtime": ATTACHMENT_RUNTIME,
    }
    shown["NodeID"] = place.node_id
    shown["Status"] = _status(replace(status, timestamp=place.meta.updated_at))
    shown["DesiredState"] = wanted.spelled
    if network is not None:
        joined = NetworkAttachment(network_id=network.id, address=place.address)
        shown["NetworksAttachments"] = [attachment_json(network, joined)]
    return shown


def attachment_desired_state(place: Attachment) -> TaskState:
    """Return what its container is there for: to run, or to be started again by its user."""
    is_stopped = place.endpoint is not None and not place.endpoint.is_running
    return TaskState.READY if is_stopped else TaskState.RUNNING


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
