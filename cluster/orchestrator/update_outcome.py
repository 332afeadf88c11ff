"""Does an update go on, pause, or go back?  Judged by the tasks it has made.

A slot fails when a task of the present spec ends by itself before it has run for the time of the
monitor; that it never ran at all, as its image cannot be had, is the worst case of this. One that
ended well, where the restart policy wants no other then, has not failed: Docker Swarm thinks
otherwise. A slot counts once an update, however often its task is restarted. When the failed
slots are a greater part of the outdated ones than the policy allows, its failure action is taken:

    pause       nothing more is replaced until the spec changes
    rollback    the service gets its previous spec back, and the slots follow by the policy for
                rollbacks; a rollback that fails is paused, never rolled back, and so is an
                update whose previous spec names a secret, config or network that was removed
    continue    the failure is forgiven

Everything this depends on is stored with the service and its tasks.  States and messages are
Docker Swarm's.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cluster.model.ids import ConfigId, NetworkId, SecretId
from cluster.model.network import PREDEFINED_NETWORKS
from cluster.model.service import FailedSlot, Service, ServiceSpec, UpdateStatus
from cluster.model.task import Task
from cluster.model.task_state import TaskState
from cluster.model.units import SECOND_NS, DurationNs, Timestamp, after
from cluster.model.update_policy import DEFAULT_MONITOR_NS, UpdateConfig
from cluster.orchestrator.restart import ended_by_itself, policy_of
from cluster.orchestrator.slots import Slot
from cluster.store.state import ClusterState

_BECAUSE = "due to failure or early termination of task"


def is_under_way(status: UpdateStatus | None) -> bool:
    """Whether outdated tasks are being replaced."""
    return status is not None and status.state in {"updating", "rollback_started"}


def is_rollback(status: UpdateStatus | None) -> bool:
    """Whether the service's spec is one that was returned to."""
    return status is not None and status.state.startswith("rollback")


def is_paused(status: UpdateStatus | None) -> bool:
    """Whether outdated tasks must stay until the spec changes."""
    return status is not None and status.state in {"paused", "rollback_paused"}


def policy_in_force(service: Service) -> UpdateConfig:
    """Return the settings by which the service's tasks are replaced now.

    Those for rollbacks hold from the beginning of one to the next change of the spec.
    """
    spec = service.spec
    config = spec.rollback_config if is_rollback(service.update_status) else spec.update_config
    return config or UpdateConfig()


def monitor_ns(config: UpdateConfig) -> DurationNs:
    """Return how long a new task is watched."""
    return config.monitor or DEFAULT_MONITOR_NS


def last_monitor_ns(config: UpdateConfig) -> DurationNs:
    """Return how long the last new tasks are watched before the update is complete."""
    if config.delay < monitor_ns(config):
        return monitor_ns(config)
    return config.delay + SECOND_NS  # as Docker Swarm does


def judged(state: ClusterState, service: Service, slots: Iterable[Slot], now: Timestamp) -> Service:
    """Return the service as it is after the failures of its update have had their consequences.

    Args:
        state: tells whether what a previous spec needs is still there.
        service: as stored.
        slots: all of its slots, as stored.
        now: the leader's time.
    """
    status = service.update_status
    if status is None or not is_under_way(status):
        return service
    failures = _new_failures(service, status, slots)
    if not failures:
        return service
    config = policy_in_force(service)
    failed = status.failed_slots
    for task in failures:
        failed += (FailedSlot(place=str(task.place), at=task.status.timestamp),)
        is_too_much = len(failed) / max(status.outdated_slots, 1) > config.max_failure_ratio
        if is_too_much and config.failure_action != "continue":
            return _stopped(state, service, status, task, now)
    return replace(service, update_status=replace(status, failed_slots=failed))


def _new_failures(service: Service, status: UpdateStatus, slots: Iterable[Slot]) -> list[Task]:
    """Return the first failed task of each slot that had none before."""
    known = {slot.place for slot in status.failed_slots}
    longest_ns = monitor_ns(policy_in_force(service))
    found = []
    for slot in slots:
        if str(slot.key) in known:
            continue
        tasks = (
            task
            for task in slot.tasks
            if task.spec_version == service.spec_version
            and task.meta.created_at >= status.since
            and _failed_early(task, longest_ns)
        )
        found.extend(list(tasks)[:1])
    return found


def ended_for_good(task: Task) -> bool:
    """Whether the task ended well and its restart policy wants no other: a one-shot is done."""
    is_complete = task.status.state is TaskState.COMPLETE
    return is_complete and policy_of(task).condition in {"none", "on-failure"}


def _failed_early(task: Task, longest_ns: DurationNs) -> bool:
    if not ended_by_itself(task) or ended_for_good(task):
        return False
    return not task.running_since or task.status.timestamp <= after(task.running_since, longest_ns)


def _stopped(
    state: ClusterState, service: Service, status: UpdateStatus, culprit: Task, now: Timestamp
) -> Service:
    because = f"{_BECAUSE} {culprit.id}"
    goes_back = status.state == "rollback_started"
    wants_back = policy_in_force(service).failure_action == "rollback"
    before = service.previous_spec
    gone = _gone_since(state, before) if before and wants_back and not goes_back else ""
    if goes_back or not wants_back or before is None or gone:
        what = "rollback" if goes_back and wants_back else "update"
        why_not = f", not rolled back as {gone} of the previous spec was removed," if gone else ""
        paused = replace(
            status,
            state="rollback_paused" if goes_back else "paused",
            message=f"{what} paused{why_not} {because}",
            failed_slots=(),
        )
        return replace(service, update_status=paused)
    back = replace(
        status,
        state="rollback_started",
        message=f"update rolled back {because}",
        since=now,
        outdated_slots=0,
        failed_slots=(),
    )
    return replace(
        service,
        spec=before,
        previous_spec=None,
        registry_auth=service.previous_registry_auth,
        previous_registry_auth=None,
        spec_version=state.revision + 1,  # of the step that stores it
        update_status=back,
    )


def _gone_since(state: ClusterState, spec: ServiceSpec) -> str:
    """Return what tasks of a spec could not be made without and is no more, "" if nothing."""
    template = spec.task_template
    container = template.container_spec
    for secret in container.secrets if container else ():
        if state.secret(SecretId(secret.secret_id)) is None:
            return f"secret {secret.secret_name}"
    for config in container.configs if container else ():
        if state.config(ConfigId(config.config_id)) is None:
            return f"config {config.config_name}"
    for network in template.networks:
        is_predefined = network.target in PREDEFINED_NETWORKS
        if not is_predefined and state.network(NetworkId(network.target)) is None:
            return f"network {network.target}"
    return ""
