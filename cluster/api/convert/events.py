"""Changes of the cluster's objects as events of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from cluster.api.convert.nodes import reachability
from cluster.api.filters import Filters
from cluster.model.ids import NodeId
from cluster.model.node import Node
from cluster.model.objects import StoredObject
from cluster.model.service import Service, ServiceSpec
from cluster.model.spec_struct import ObjectStruct
from cluster.model.units import SECOND_NS, Timestamp
from cluster.store.change import Change, Created, Deleted
from cluster.store.state import ClusterState

_TYPES: Final = frozenset({"node", "service", "network", "secret", "config"})

_NAMED_BY_ANY: Final = (
    "daemon",
    "container",
    "plugin",
    "volume",
    "network",
    "node",
    "service",
    "secret",
    "config",
)
"""Filters that the engine compares with ID and name of whatever an event is about."""

FILTERS: Final = (*_NAMED_BY_ANY, "event", "image", "label", "scope", "type")


class ClusterEvent(ObjectStruct, frozen=True, kw_only=True, gc=False):
    """Something that happened to an object of the cluster."""

    type: str
    action: Literal["create", "update", "remove"]
    actor_id: str
    attributes: Mapping[str, str]
    at: Timestamp

    def line(self) -> bytes:
        """Return the event as a line of the API's stream."""
        shown = {
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.actor_id, "Attributes": self.attributes},
            "scope": "swarm",
            "time": self.at // SECOND_NS,
            "timeNano": self.at,
        }
        return msgspec.json.encode(shown) + b"\n"

    def fits(self, filters: Filters) -> bool:
        """Whether a client that sent the filters wants to hear of it."""
        name = self.attributes.get("name", "")
        return (
            filters.one_is("type", self.type)
            and filters.one_is("event", self.action)
            and filters.one_is("scope", "swarm")
            and filters.one_is("image", self.actor_id, name)
            and filters.labels_fit("label", self.attributes)
            and all(filters.one_starts(key, self.actor_id, name) for key in _NAMED_BY_ANY)
        )


def event_of(change: Change, before: StoredObject | None, now: Timestamp) -> ClusterEvent | None:
    """Return what a client hears of a change; None if it is of no object that clients watch.

    Args:
        change: a committed change.
        before: the object as it was, None for one that is new.
        now: dates a removal, which itself bears no date.
    """
    item: Any = change.item
    kind = str(type(item).__struct_config__.tag)
    if kind not in _TYPES:
        return None
    attributes = {"name": _name(item)}
    match change:
        case Created():
            action: Literal["create", "update", "remove"] = "create"
        case Deleted():
            action = "remove"
        case _:
            action = "update"
            attributes |= _differences(before, item)
    return ClusterEvent(
        type=kind,
        action=action,
        actor_id=item.id,
        attributes=attributes,
        at=now if isinstance(change, Deleted) else item.meta.updated_at,
    )


def leader_events(
    state: ClusterState, old: NodeId | None, new: NodeId | None, now: Timestamp
) -> list[ClusterEvent]:
    """Return what clients hear when another manager leads: no object changes with that.

    Args:
        state: the cluster's.
        old: the manager that led, None if this one did not know any.
        new: the one that leads now.
        now: dates the events.
    """
    if old is None or new is None or old == new:
        return []
    found = []
    for node_id, was in ((old, "true"), (new, "false")):
        node = state.node(node_id)
        if node is not None:
            now_is = "false" if was == "true" else "true"
            attributes = {"name": _name(node), "leader.new": now_is, "leader.old": was}
            found.append(
                ClusterEvent(
                    type="node", action="update", actor_id=node_id, attributes=attributes, at=now
                )
            )
    return found


def _name(item: Any) -> str:
    if isinstance(item, Node):
        return item.spec.name or item.hostname
    return str(item.spec.name)


def _differences(before: StoredObject | None, item: StoredObject) -> dict[str, str]:
    match before, item:
        case Service(), Service():
            old, new = _service_facts(before), _service_facts(item)
        case Node(), Node():
            old, new = _node_facts(before), _node_facts(item)
        case _:
            return {}
    found = {}
    for key, value in new.items():
        if value == old[key]:
            continue
        if value:
            found[f"{key}.new"] = value
        if old[key]:
            found[f"{key}.old"] = old[key]
    return found


def _service_facts(service: Service) -> dict[str, str]:
    container = service.spec.task_template.container_spec
    return {
        "image": container.image if container else "",
        "replicas": _replicas(service.spec),
        "updatestate": service.update_status.state if service.update_status else "",
    }


def _replicas(spec: ServiceSpec) -> str:
    return str(spec.replicas) if spec.mode_name == "replicated" else ""


def _node_facts(node: Node) -> dict[str, str]:
    return {
        "availability": node.spec.availability,
        "role": node.spec.role,
        "state": node.status.state,
        # a leader is always reachable; that it leads is no part of the object
        "reachability": reachability(node, is_leader=False) if node.manager_status else "",
    }
