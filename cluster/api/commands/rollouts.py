"""The end of a deployment that is to succeed as a whole: it holds, or all goes back.

``stack deploy --atomic`` leaves with the stack what is being rolled out and what to return to. This
reconciler of the leader does the rest, whatever becomes of the client and of leaders before it:

    under way ──all run, and have for long enough──> held: what is surplus is removed
        │
        └──one fails, or the time is over──> going back ──all run again──> back
                                                 │
                                                 └──they do not──> stuck

Where there was no revision before, going back is removing what the deployment made; it begins a
moment after the failure, so that the client can still ask for the failed task's last lines.
Surplus networks go when the last task of surplus services is gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from msgspec.structs import replace

from cluster.api.commands.attached_files import remove_config, remove_secret
from cluster.api.commands.networks import remove_network
from cluster.api.commands.services import drop_service, remove_service
from cluster.api.commands.stack_revisions import (
    forget_stack_without_services,
    record_revision,
    services_of_stack,
)
from cluster.api.commands.stacks import find_revision, return_to
from cluster.errors import ClusterError
from cluster.model.audit import CLUSTER_ITSELF
from cluster.model.ids import NewId
from cluster.model.service import Service
from cluster.model.stack import Rollout, Stack, stack_of
from cluster.model.task import Task
from cluster.model.units import SECOND_NS, Timestamp, after
from cluster.orchestrator.rollout_outcome import Failed, Held, Undecided, verdict
from cluster.store.audit_log import record
from cluster.store.change import Change, Created, Deleted, Updated
from cluster.store.plan import NOTHING, Plan
from cluster.store.state import ClusterState
from cluster.store.transaction import Transaction

REMOVAL_PAUSE_NS = 3 * SECOND_NS
"""From the failure of a first deployment until what it made is removed."""

_PRUNED = "pruned"


class Rollouts:
    """The reconciler of deployments that are to succeed as a whole, keyed by the stack's name."""

    name = "stack rollouts"

    def keys_of(self, change: Change, state: ClusterState) -> Iterable[str]:
        """Return the stack that a change concerns."""
        match change.item:
            case Stack() as stack:
                name = stack.name
            case Service() as service:
                name = stack_of(service.spec.labels)
            case Task() as task:
                name = stack_of(task.service_labels)
            case _:
                return ()
        return (name,) if name and _pending(state, name) is not None else ()

    def all_keys(self, state: ClusterState) -> Iterable[str]:
        """Return all stacks whose deployment is not over."""
        return sorted(one.name for one in state.stacks if _pending(state, one.name) is not None)

    def reconcile(self, state: ClusterState, key: str, now: Timestamp, new_id: NewId) -> Plan:
        """Plan the next step of a stack's deployment."""
        rollout = _pending(state, key)
        if rollout is None:
            return NOTHING
        tx = Transaction(state, now)
        if rollout.is_pruning:
            _prune_networks(tx, key, rollout, new_id)
            record(tx, state, CLUSTER_ITSELF, "stack prune")
            return _plan(tx.changes, None)
        if rollout.state == "going back" and not rollout.former:
            wake_at = _remove_all(tx, key, rollout)
        else:
            wake_at = _judge(tx, key, rollout, new_id)
        return _plan(tx.changes, wake_at)


def _pending(state: ClusterState, name: str) -> Rollout | None:
    stack = state.stack_by_name(name)
    rollout = stack.rollout if stack else None
    is_open = rollout is not None and (rollout.is_pending or rollout.is_pruning)
    return rollout if is_open else None


def _judge(tx: Transaction, name: str, rollout: Rollout, new_id: NewId) -> Timestamp | None:
    goes_back = rollout.state == "going back"
    match verdict(tx.state, name, rollout, tx.now):
        case Undecided() as undecided:
            _note(tx, name, replace(rollout, steady_since=undecided.steady_since))
            return undecided.wake_at
        case Held() if goes_back:
            _note(tx, name, replace(rollout, state="back"))
            return None
        case Held():
            _hold(tx, name, replace(rollout, state="held"), new_id)
            return None
        case Failed() as failed:
            if goes_back:
                problem = f"{rollout.reason}; and revision {rollout.former} does not run either: "
                _note(tx, name, replace(rollout, state="stuck", reason=problem + failed.reason))
                return None
            return _go_back(tx, name, rollout, failed, new_id)


def _hold(tx: Transaction, name: str, rollout: Rollout, new_id: NewId) -> None:
    """Note that a deployment holds, and remove the services that it has left over."""
    before = tx.state
    _note(tx, name, rollout)
    surplus = [one for one in services_of_stack(before, name) if one.id in rollout.surplus_services]
    for service in surplus:
        drop_service(tx, service)
    if rollout.is_pruning:
        _prune_networks(tx, name, rollout, new_id)
    elif surplus:
        record_revision(tx, name, new_id, message=_PRUNED, author=rollout.author)
    record(tx, before, CLUSTER_ITSELF, "stack prune")
    forget_stack_without_services(tx, name)


def _prune_networks(tx: Transaction, name: str, rollout: Rollout, new_id: NewId) -> None:
    """Remove networks that nobody needs any more, if no task can be in them."""
    if any(task.service_id in rollout.surplus_services for task in tx.state.tasks):
        return  # its end is a change of the stack's
    for network_id in rollout.surplus_networks:
        network = tx.state.network(network_id)
        if network is not None and stack_of(network.spec.labels) == name:
            with contextlib.suppress(ClusterError):  # a service has it
                remove_network(tx, network_id)
    _note(tx, name, replace(rollout, surplus_services=(), surplus_networks=()))
    record_revision(tx, name, new_id, message=_PRUNED, author=rollout.author)


def _go_back(
    tx: Transaction, name: str, rollout: Rollout, failed: Failed, new_id: NewId
) -> Timestamp | None:
    back = replace(
        rollout,
        state="going back",
        failure=failed.failure,
        reason=failed.reason,
        task_id=failed.task_id,
        began_at=tx.now,
        steady_since=Timestamp(0),
        surplus_services=(),
        surplus_networks=(),
    )
    if not rollout.former:
        _note(tx, name, back)
        return after(tx.now, REMOVAL_PAUSE_NS)
    attempt = Transaction(tx.state, tx.now)
    message = f"back to {rollout.former}, as {rollout.revision} failed"
    try:
        revision = find_revision(tx.state, name, rollout.former)
        return_to(attempt, name, revision, new_id, author=rollout.author, message=message)
    except ClusterError as error:
        _note(tx, name, replace(back, state="stuck", reason=f"{failed.reason}; and {error}"))
        return None
    _note(attempt, name, back)
    record(attempt, tx.state, CLUSTER_ITSELF, "stack rollback")
    tx.carry_out(_plan(attempt.changes, None))
    return _judge(tx, name, back, new_id)  # what never changed may be as it was already


def _remove_all(tx: Transaction, name: str, rollout: Rollout) -> Timestamp | None:
    """Remove what a first deployment made; it is over when its last task is gone."""
    due = after(rollout.began_at, REMOVAL_PAUSE_NS)
    if tx.now < due:
        return due
    before = tx.state
    for service in list(services_of_stack(tx.state, name)):
        remove_service(tx, service.id)
    for ids, remove in (
        (rollout.made_networks, remove_network),
        (rollout.made_secrets, remove_secret),
        (rollout.made_configs, remove_config),
    ):
        for object_id in ids:
            with contextlib.suppress(ClusterError):  # it is gone, or another stack's service has it
                remove(tx, object_id)
    record(tx, before, CLUSTER_ITSELF, "stack rollback")
    if not any(stack_of(task.service_labels) == name for task in tx.state.tasks):
        _note(tx, name, replace(rollout, state="back"))
    return None


def _note(tx: Transaction, name: str, rollout: Rollout) -> None:
    stack = tx.state.stack_by_name(name)
    assert stack is not None, "a stack is kept as long as its deployment is not over"
    tx.update(replace(stack, rollout=rollout))


def _plan(changes: Iterable[Change], wake_at: Timestamp | None) -> Plan:
    changes = tuple(changes)
    return Plan(
        create=tuple(one.item for one in changes if isinstance(one, Created)),
        update=tuple(one.item for one in changes if isinstance(one, Updated)),
        delete=tuple(one.item for one in changes if isinstance(one, Deleted)),
        wake_at=wake_at,
    )
