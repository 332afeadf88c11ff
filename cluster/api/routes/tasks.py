"""Tasks: list and inspect."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from cluster.api.commands.lookup import (
    find_node,
    find_service,
    find_task_or_attachment,
)
from cluster.api.context import ApiContext
from cluster.api.convert.tasks import (
    ATTACHMENT_RUNTIME,
    attachment_desired_state,
    attachment_task_json,
    task_json,
)
from cluster.api.encoded_objects import json_list
from cluster.api.error_response import raw_json_response
from cluster.api.filters import Filters
from cluster.api.log_stream import stream_logs
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import InvalidArgument
from cluster.model.attachment import Attachment
from cluster.model.logs import LogSelection
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.orchestrator.outdated import OutdatedCheck
from cluster.store.state import ClusterState

_FILTERS = ("id", "name", "label", "service", "node", "desired-state", "_up-to-date", "runtime")
_STATES = frozenset(state.spelled for state in TaskState)


async def list_tasks(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the tasks that fit the filters; places of plain containers if their runtime is named."""
    state = api.state
    pause_s = api.pacing.pause_s(request.http.raw_path, state, api.clock.monotonic_s())
    if pause_s:
        await asyncio.sleep(pause_s)
        state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    chosen = _TaskFilter(state, filters)
    api.encoded.forget_all_but(len(state.nodes) + len(state.tasks) + len(state.services))
    tasks = [_encoded(api, task) for task in chosen.tasks()]
    return raw_json_response(json_list(tasks + [_shown(api, a) for a in chosen.attachments()]))


async def inspect_task(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one task, or a plain container's place in a network."""
    found = find_task_or_attachment(api.state, request.parameter("id"))
    shown = _shown(api, found) if isinstance(found, Attachment) else _encoded(api, found)
    return raw_json_response(shown)


async def task_logs(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show what the task's container printed, wherever it is."""
    task = find_task_or_attachment(api.state, request.parameter("id"))
    if isinstance(task, Attachment):
        raise InvalidArgument(
            f"task {task.id} is the place of a plain container in a network: its log is at its "
            f"node {task.node_id}, docker logs shows it there"
        )
    container = task.spec.container_spec
    has_terminal = container is not None and container.tty
    selection = LogSelection(task_id=task.id)
    return await stream_logs(api, request, selection, has_terminal=has_terminal)


ROUTES = (
    Route("GET", "/tasks", list_tasks),
    Route("GET", "/tasks/{id}", inspect_task),
    Route("GET", "/tasks/{id}/logs", task_logs),
)


def _encoded(api: ApiContext, task: Task) -> bytes:
    return api.encoded.encode(task, lambda: task_json(task, api.state))


def _shown(api: ApiContext, attachment: Attachment) -> bytes:
    return msgspec.json.encode(attachment_task_json(attachment, api.state))


class _TaskFilter:
    """The filters of one request, names resolved against one state."""

    def __init__(self, state: ClusterState, filters: Filters) -> None:
        self._state = state
        self._filters = filters
        self._up_to_date = filters.flag("_up-to-date")
        for value in filters.get("desired-state"):
            if value not in _STATES:
                raise InvalidArgument(
                    f"invalid desired-state filter: '{value}'; expected running or shutdown"
                )
        self._services = {find_service(state, text).id for text in filters.get("service")}
        self._nodes = {find_node(state, text).id for text in filters.get("node")}

    def tasks(self) -> list[Task]:
        state = self._state
        if self._services:
            found = [t for s in sorted(self._services) for t in state.tasks_of_service(s)]
        elif self._nodes:
            found = [t for n in sorted(self._nodes) for t in state.tasks_of_node(n)]
        else:
            found = list(state.tasks)
        return [task for task in found if self._fits(task)]

    def attachments(self) -> list[Attachment]:
        """Return what is no task of a service; listed only if the filter ``runtime`` asks for it.

        They have no service and no labels, so that filters by these fit none.
        """
        filters = self._filters
        if ATTACHMENT_RUNTIME not in filters.get("runtime") or self._services:
            return []
        return [
            place
            for place in self._state.attachments
            if (not self._nodes or place.node_id in self._nodes)
            and filters.one_starts("id", place.id)
            and filters.one_starts("name", f".{place.node_id}.{place.id}")
            and filters.labels_fit("label", {})
            and filters.one_is("desired-state", attachment_desired_state(place).spelled)
            and not self._up_to_date
        ]

    def _fits(self, task: Task) -> bool:
        filters = self._filters
        service = self._state.service(task.service_id)
        labels = task.service_labels if service is None else service.spec.labels
        return (
            (not self._nodes or task.node_id in self._nodes)
            and filters.one_starts("id", task.id)
            and filters.one_starts("name", task.name)
            and filters.labels_fit("label", labels)
            and filters.one_is("desired-state", task.desired_state.spelled)
            and filters.one_is("runtime", "container")
            and (self._up_to_date is None or self._up_to_date == self._is_up_to_date(task, service))
        )

    def _is_up_to_date(self, task: Task, service: Service | None) -> bool:
        return service is not None and not OutdatedCheck(self._state, service)(task)
