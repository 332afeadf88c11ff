"""Is a task still what its service wants?

Every change of a service's spec gives it a new spec version, but most of them leave its tasks
as they are: labels, the number of replicas, the policies of update and rollback, and a placement
that the task's node still meets.  Only a change of what the task itself was made of is one; and
the update of a service on which it depends with ``restart``, which outdates all tasks of before.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from cluster.model.constraint import node_fits
from cluster.model.endpoint import EndpointSpec, PortConfig
from cluster.model.extensions import dependencies_of
from cluster.model.placement import Placement
from cluster.model.service import Service, TaskSpec
from cluster.model.task import Task
from cluster.model.units import Timestamp
from cluster.store.state import ClusterState


class OutdatedCheck:
    """Tells which tasks of one service must be replaced because its spec has changed.

    Tasks of one spec version are all alike, so each version is compared once.
    """

    def __init__(self, state: ClusterState, service: Service) -> None:
        """Compare with the service's present spec."""
        self._state = state
        self._service = service
        self._by_version: dict[int, _Difference] = {}
        self._renewed_at = _dependencies_renewed_at(state, service)

    def __call__(self, task: Task) -> bool:
        """Whether the task must be replaced."""
        if task.meta.created_at < self._renewed_at:
            return True
        if task.spec_version == self._service.spec_version:
            return False
        difference = self._by_version.get(task.spec_version)
        if difference is None:
            difference = _difference(task, self._service)
            self._by_version[task.spec_version] = difference
        if difference is _PLACEMENT_ONLY:
            return not self._node_still_fits(task)
        return difference is _MATERIAL

    def _node_still_fits(self, task: Task) -> bool:
        # a task without a node was looked for one under the old rules: a new one is cheap
        node = self._state.node(task.node_id) if task.node_id else None
        placement = self._service.spec.task_template.placement or Placement()
        return node is not None and node_fits(placement.constraints, node)


def _dependencies_renewed_at(state: ClusterState, service: Service) -> Timestamp:
    """Return when a dependency that takes the service along was last updated; 0 for never."""
    moments = [Timestamp(0)]
    for name, dependency in dependencies_of(service.spec.labels).items():
        other = state.service_by_name(name) if dependency.restart else None
        if other is not None and other.update_status is not None:
            moments.append(other.update_status.started_at)
    return max(moments)


_Difference = str
_NONE: _Difference = "none"
_PLACEMENT_ONLY: _Difference = "placement only"
_MATERIAL: _Difference = "material"


def _difference(task: Task, service: Service) -> _Difference:
    old, new = task.spec, service.spec.task_template
    before, after = (
        _of_tasks(endpoint) for endpoint in (task.endpoint_spec, service.spec.endpoint_spec)
    )
    if not _is_same(before, after):
        return _MATERIAL
    if _is_same(old, new):
        return _NONE
    return _PLACEMENT_ONLY if _is_same(_unplaced(old), _unplaced(new)) else _MATERIAL


def _of_tasks(endpoint: EndpointSpec | None) -> EndpointSpec:
    """Return what tasks are made of: of ports of mode ingress only that there are some.

    The nodes' balancers lead these to the tasks, which know nothing of them.
    """
    if endpoint is None:
        return EndpointSpec()
    on_node = [port for port in endpoint.ports if port.publish_mode == "host"]
    if len(on_node) < len(endpoint.ports):
        on_node.append(PortConfig(publish_mode="ingress"))
    return replace(endpoint, ports=tuple(on_node))


def _unplaced(spec: TaskSpec) -> TaskSpec:
    return replace(spec, placement=None)


def _is_same(old: msgspec.Struct, new: msgspec.Struct | None) -> bool:
    """Whether two specs mean the same: clients differ in whether they send empty members."""
    return old == new or _without_empty(msgspec.to_builtins(old)) == _without_empty(
        msgspec.to_builtins(new)
    )


def _without_empty(value: Any) -> Any:
    """Return a spec as plain data without its empty maps, lists and texts; None if it is empty.

    The names in references to secrets and configs are left out: the ID says which it is, and its
    name may have gone to another version.
    """
    match value:
        case dict():
            named = {"SecretID": "SecretName", "ConfigID": "ConfigName"}
            names = {name for key, name in named.items() if value.get(key)}
            kept = {k: _without_empty(member) for k, member in value.items() if k not in names}
            return {key: member for key, member in kept.items() if member is not None} or None
        case list() | tuple():
            return [_without_empty(member) for member in value] or None
        case "":
            return None
        case _:
            return value
