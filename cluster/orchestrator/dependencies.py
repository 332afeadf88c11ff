"""What a service waits for before tasks of its present spec are made: ``depends_on``.

The conditions are those of the Compose Specification, which says nothing of updates and of more
than one task:

    service_started                 a task of the dependency's present spec runs, or has run
    service_healthy                 all its tasks run (with a health check: are healthy) and are of
                                    its present spec, and no update of it is under way
    service_completed_successfully  all its tasks of the present spec have ended well; of a job,
                                    the present iteration is complete

They are looked at once a spec: when the first task of it has been made the service has begun, and
what becomes of its dependencies later does not concern it.  Until then the service stays as it is,
and tasks of its former spec are looked after as ever.  A rollback waits for nothing.

Only stored objects are read, so a new leader decides alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from cluster.model.extensions import EXTENSION_LABEL, Condition, Dependency, dependencies_of
from cluster.model.service import ReplicatedMode, Service, ServiceMode
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.orchestrator.outdated import OutdatedCheck
from cluster.orchestrator.update_outcome import is_rollback, is_under_way
from cluster.store.plan import Plan
from cluster.store.state import ClusterState

_PHRASES: dict[Condition, str] = {
    "service_started": "to start",
    "service_healthy": "to be healthy",
    "service_completed_successfully": "to complete",
}


def waits_for(state: ClusterState, service: Service) -> list[str]:
    """Return what the service waits for, as "shop_db to be healthy"; nothing once it has begun."""
    dependencies = dependencies_of(service.spec.labels)
    if not dependencies or is_rollback(service.update_status) or _has_begun(state, service):
        return []
    return [
        f"{name} {_PHRASES[dependency.condition]}"
        for name, dependency in dependencies.items()
        if not _is_satisfied(state, name, dependency)
    ]


def as_it_runs(state: ClusterState, service: Service) -> Service | None:
    """Return the service with the spec that its newest wanted tasks were made from.

    It keeps as many tasks as it has.  None when there are none.
    """
    wanted = [task for task in state.tasks_of_service(service.id) if task.is_wanted]
    if not wanted:
        return None
    newest = max(wanted, key=lambda task: (task.spec_version, task.id))
    mode = service.spec.mode
    if service.spec.mode_name == "replicated":
        places = {task.place for task in wanted}
        mode = ServiceMode(replicated=ReplicatedMode(replicas=len(places)))
    labels = {name: text for name, text in service.spec.labels.items() if name != EXTENSION_LABEL}
    spec = replace(
        service.spec,
        labels=labels,  # without dependencies, which would take the tasks along already
        task_template=newest.spec,
        endpoint_spec=newest.endpoint_spec,
        mode=mode,
    )
    return replace(service, spec=spec, spec_version=newest.spec_version, update_status=None)


def without_services(plan: Plan) -> Plan:
    """Return a plan for a service as it runs, which must not be stored like that."""
    return replace(plan, update=tuple(one for one in plan.update if isinstance(one, Task)))


def _has_begun(state: ClusterState, service: Service) -> bool:
    tasks = state.tasks_of_service(service.id)
    if service.spec.is_job:
        return any(task.job_iteration == service.job_iteration for task in tasks)
    is_outdated = OutdatedCheck(state, service)
    return any(
        (task.is_active or task.spec_version == service.spec_version) and not is_outdated(task)
        for task in tasks
    )


def _is_satisfied(state: ClusterState, name: str, dependency: Dependency) -> bool:
    service = state.service_by_name(name)
    if service is None:
        return not dependency.required
    tasks = list(present_tasks(state, service))
    if _is_met(service, tasks, dependency.condition):
        return True
    return not dependency.required and bool(tasks) and not any(t.is_active for t in tasks)


def present_tasks(state: ClusterState, service: Service) -> Iterator[Task]:
    """Iterate over the tasks of the service's present spec."""
    is_outdated = OutdatedCheck(state, service)
    for task in state.tasks_of_service(service.id):
        if service.spec.is_job:
            if task.job_iteration == service.job_iteration:
                yield task
        elif not is_outdated(task):
            yield task


def _is_met(service: Service, tasks: list[Task], condition: Condition) -> bool:
    running = {t.place for t in tasks if t.is_wanted and t.status.state is TaskState.RUNNING}
    complete = {t.place for t in tasks if t.status.state is TaskState.COMPLETE}
    wanted = _wanted(service, tasks)
    if wanted == 0 and not service.spec.is_global:
        return True
    match condition:
        case "service_started":
            return bool(running or complete) or any(t.running_since for t in tasks)
        case "service_healthy":
            return 0 < wanted <= len(running) and not is_under_way(service.update_status)
        case "service_completed_successfully":
            return 0 < wanted <= len(complete)


def _wanted(service: Service, tasks: list[Task]) -> int:
    """Return how many places are to be filled; of a global service, by what is there already."""
    spec = service.spec
    if spec.is_global:
        return len(
            {task.place for task in tasks if task.is_wanted or task.status.state.is_terminal}
        )
    return spec.total_completions if spec.is_job else spec.replicas
