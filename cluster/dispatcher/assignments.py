"""What one node must run, and the difference to what it was told last.

A node is told a task again only when something changed that it acts upon; its own reports, which
come back in `status`, are no news to it.  It holds a secret, a config or a registry login only
while one of its tasks needs it: that is, wants it and has not ended.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from cluster.model.config import Config
from cluster.model.ids import ConfigId, NodeId, SecretId, ServiceId, TaskId
from cluster.model.meta import Meta
from cluster.model.network_view import NodeView
from cluster.model.network_view_change import ViewChange, difference
from cluster.model.registry_login import RegistryLogin
from cluster.model.secret import Secret
from cluster.model.spec_struct import ObjectStruct
from cluster.model.task import Task, TaskStatus
from cluster.model.task_state import TaskState
from cluster.rpc.messages import AssignmentsMessage
from cluster.store.state import ClusterState

_NO_META = Meta()
_NO_STATUS = TaskStatus()


class Wanted(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """What a node should know."""

    tasks: Mapping[TaskId, Task] = {}
    secrets: Mapping[SecretId, Secret] = {}
    configs: Mapping[ConfigId, Config] = {}
    logins: Mapping[ServiceId, RegistryLogin] = {}
    view: NodeView | None = None  # without a revision
    drained: frozenset[TaskId] = frozenset()


def wanted_by(
    state: ClusterState,
    node_id: NodeId,
    view: NodeView | None = None,
    drained: frozenset[TaskId] = frozenset(),
) -> Wanted:
    """Return the node's tasks from ASSIGNED on, ended ones included, and what they need.

    Args:
        state: the cluster's.
        node_id: whose tasks.
        view: what the node must know of the networks, None for nothing yet.
        drained: tasks of the node that get no new connection any more.
    """
    tasks = {
        task.id: task
        for task in state.tasks_of_node(node_id)
        if task.status.state >= TaskState.ASSIGNED
    }
    secrets: dict[SecretId, Secret] = {}
    configs: dict[ConfigId, Config] = {}
    logins: dict[ServiceId, RegistryLogin] = {}
    for task in tasks.values():
        container = task.spec.container_spec
        if container is None or not _is_alive(task):
            continue
        service = state.service(task.service_id)
        if service is not None and service.registry_auth is not None:
            logins[service.id] = RegistryLogin(service_id=service.id, auth=service.registry_auth)
        for secret_reference in container.secrets:
            secret = state.secret(SecretId(secret_reference.secret_id))
            if secret is not None:
                secrets[secret.id] = secret
        for config_reference in container.configs:
            config = state.config(ConfigId(config_reference.config_id))
            if config is not None:
                configs[config.id] = config
    return Wanted(
        tasks=tasks,
        secrets=secrets,
        configs=configs,
        logins=logins,
        view=view,
        drained=drained.intersection(tasks),
    )


class Assignments:
    """What has been told to a node in one stream."""

    def __init__(self) -> None:
        """Start a stream: nothing has been told."""
        self._told = Wanted()
        self._sequence = 0
        self.view_revision = 0  # of the view that was told last, 0 if none was

    def next_message(self, wanted: Wanted, revision: int = 0) -> AssignmentsMessage | None:
        """Return what brings the node to `wanted`, None if it is there.

        The first message is the complete set, even when it is empty.

        Args:
            wanted: what the node should know.
            revision: of the state that the view was made from; names a new view.
        """
        is_complete = self._sequence == 0
        told, self._told = self._told, wanted
        view = self._view_change(told.view, wanted.view, revision)
        message = AssignmentsMessage(
            sequence=self._sequence,
            is_complete=is_complete,
            tasks=tuple(
                task
                for task_id, task in sorted(wanted.tasks.items())
                if is_complete or _is_news(told.tasks.get(task_id), task)
            ),
            removed=tuple(sorted(told.tasks.keys() - wanted.tasks.keys())),
            # their data never changes: one that is known need not be told again
            secrets=tuple(
                s for key, s in sorted(wanted.secrets.items()) if key not in told.secrets
            ),
            removed_secrets=tuple(sorted(told.secrets.keys() - wanted.secrets.keys())),
            configs=tuple(
                c for key, c in sorted(wanted.configs.items()) if key not in told.configs
            ),
            removed_configs=tuple(sorted(told.configs.keys() - wanted.configs.keys())),
            logins=tuple(
                login
                for key, login in sorted(wanted.logins.items())
                if told.logins.get(key) != login
            ),
            removed_logins=tuple(sorted(told.logins.keys() - wanted.logins.keys())),
            view=view,
            drained=tuple(sorted(wanted.drained - told.drained)),
        )
        if not is_complete and message == AssignmentsMessage(sequence=self._sequence):
            return None
        self._sequence += 1
        return message

    def _view_change(
        self, told: NodeView | None, wanted: NodeView | None, revision: int
    ) -> ViewChange | None:
        if wanted is None or told == wanted:
            return None
        self.view_revision = max(revision, self.view_revision + 1)
        return difference(told, replace(wanted, revision=self.view_revision))


def _is_alive(task: Task) -> bool:
    return task.desired_state < TaskState.SHUTDOWN and not task.status.state.is_terminal


def _is_news(told: Task | None, task: Task) -> bool:
    if told is None:
        return True
    if told.meta.version == task.meta.version:
        return False
    return _wanted(told) != _wanted(task)


def _wanted(task: Task) -> Task:
    return msgspec.structs.replace(task, meta=_NO_META, status=_NO_STATUS)
