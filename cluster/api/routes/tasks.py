"""Tasks: list and inspect."""

from __future__ import annotations

import asyncio

from aiohttp import web

from cluster.api.commands.lookup import find_node, find_service, find_task
from cluster.api.context import ApiContext
from cluster.api.convert.tasks import task_json
from cluster.api.encoded_objects import json_list
from cluster.api.error_response import raw_json_response
from cluster.api.filters import Filters
from cluster.api.log_stream import stream_logs
from cluster.api.request import ApiRequest
from cluster.api.routing import Route
from cluster.errors import InvalidArgument
from cluster.model.logs import LogSelection
from cluster.model.service import Service
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.orchestrator.outdated import OutdatedCheck
from cluster.store.state import ClusterState

_FILTERS = ("id", "name", "label", "service", "node", "desired-state", "_up-to-date", "runtime")
_STATES = frozenset(state.spelled for state in TaskState)


async def list_tasks(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """List the tasks that fit the filters."""
    state = api.state
    pause_s = api.pacing.pause_s(request.http.raw_path, state, api.clock.monotonic_s())
    if pause_s:
        await asyncio.sleep(pause_s)
        state = api.state
    filters = Filters.parse(request.query.get("filters"), _FILTERS)
    tasks = _TaskFilter(state, filters).tasks()
    api.encoded.forget_all_but(len(state.nodes) + len(state.tasks) + len(state.services))
    return raw_json_response(json_list(_encoded(api, task) for task in tasks))


async def inspect_task(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show one task."""
    return raw_json_response(_encoded(api, find_task(api.state, request.parameter("id"))))


async def task_logs(api: ApiContext, request: ApiRequest) -> web.StreamResponse:
    """Show what the task's container printed, wherever it is."""
    task = find_task(api.state, request.parameter("id"))
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
