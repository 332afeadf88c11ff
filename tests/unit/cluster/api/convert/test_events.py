from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from cluster.api.convert.events import FILTERS, ClusterEvent, event_of, leader_events
from cluster.api.filters import Filters
from cluster.model.ids import NetworkId, NodeId
from cluster.model.meta import Meta
from cluster.model.network import Network, NetworkSpec
from cluster.model.node import ManagerStatus, NodeSpec, NodeStatus
from cluster.model.service import ReplicatedMode, Service, ServiceMode, UpdateStatus
from cluster.model.units import Timestamp
from cluster.store.change import Change, Created, Deleted, Updated
from tests.support.builders import make_cluster, make_node, make_service, make_state, make_task
from tests.unit.cluster.api.golden_files import golden

NOW = Timestamp(1_795_425_013_072_675_474)
DATED = Meta(version=7, updated_at=NOW)


def web(**changes) -> Service:
    return replace(make_service("web", replicas=2), meta=DATED, **changes)


def event(change: Change, before=None) -> ClusterEvent:
    found = event_of(change, before, Timestamp(5))
    assert found is not None
    return found


def test_a_line_has_the_recorded_form() -> None:
    recorded = next(
        e
        for e in golden("events-swarm")["json_lines"]
        if "updatestate.old" in e["Actor"]["Attributes"]
    )
    made = ClusterEvent(
        type=recorded["Type"],
        action=recorded["Action"],
        actor_id=recorded["Actor"]["ID"],
        attributes=recorded["Actor"]["Attributes"],
        at=Timestamp(recorded["timeNano"]),
    )
    line = made.line()
    assert line.endswith(b"\n")
    assert json.loads(line) == recorded
    assert list(json.loads(line)) == list(recorded)


def test_objects_come_change_and_go() -> None:
    assert event(Created(web())).action == "create"
    assert event(Created(web())).at == NOW
    assert event(Updated(web()), web()).attributes == {"name": "web"}
    gone = event(Deleted(web()), web())
    assert (gone.action, gone.at) == ("remove", 5)
    network = Network(id=NetworkId("n"), meta=DATED, spec=NetworkSpec(name="front"))
    assert event(Created(network)).type == "network"
    assert event(Created(network)).attributes == {"name": "front"}


def test_tasks_and_the_cluster_are_not_told_of() -> None:
    assert event_of(Created(make_task("t", web())), None, NOW) is None
    assert event_of(Updated(make_cluster()), make_cluster(), NOW) is None


def test_what_changed_of_a_service_is_told() -> None:
    before = web()
    scaled = replace(
        before.spec,
        mode=ServiceMode(replicated=ReplicatedMode(replicas=3)),
        task_template=make_service("web", image="web:2").spec.task_template,
    )
    assert event(Updated(web(spec=scaled)), before).attributes == {
        "name": "web",
        "image.old": "web:1",
        "image.new": "web:2",
        "replicas.old": "2",
        "replicas.new": "3",
    }
    updating = web(update_status=UpdateStatus(state="updating"))
    assert event(Updated(updating), before).attributes == {
        "name": "web",
        "updatestate.new": "updating",
    }
    completed = web(update_status=UpdateStatus(state="completed"))
    assert event(Updated(completed), updating).attributes == {
        "name": "web",
        "updatestate.new": "completed",
        "updatestate.old": "updating",
    }


def test_what_changed_of_a_node_is_told() -> None:
    before = make_node("n", hostname="vm")
    drained = replace(
        before, spec=NodeSpec(availability="drain", role="worker"), status=NodeStatus(state="down")
    )
    assert event(Updated(drained), before).attributes == {
        "name": "vm",
        "availability.old": "active",
        "availability.new": "drain",
        "state.old": "ready",
        "state.new": "down",
    }


@pytest.mark.parametrize(
    ("filters", "is_wanted"),
    [
        ({}, True),
        ({"type": ["service", "node"]}, True),
        ({"type": ["container"]}, False),
        ({"event": ["create"]}, True),
        ({"event": ["update"]}, False),
        ({"scope": ["swarm"]}, True),
        ({"scope": ["local"]}, False),
        ({"service": ["we"]}, True),
        ({"service": ["other"]}, False),
        ({"container": ["eventful"]}, False),
        ({"label": ["a=b"]}, False),
        ({"image": ["busybox"]}, False),
        ({"type": ["service"], "event": ["remove"]}, False),
    ],
)
def test_filters(filters: dict[str, list[str]], is_wanted: bool) -> None:
    parsed = Filters.parse(json.dumps(filters), FILTERS)
    assert event(Created(web())).fits(parsed) is is_wanted


def test_the_reachability_of_a_manager_is_told() -> None:
    manager = replace(
        make_node("m", role="manager"),
        meta=DATED,
        manager_status=ManagerStatus(raft_id=1, addr="10.0.0.1:2377"),
    )
    away = replace(manager, status=NodeStatus(state="down"))
    found = event(Updated(away), manager).attributes
    assert (found["reachability.old"], found["reachability.new"]) == ("reachable", "unreachable")
    worker = replace(make_node("w"), meta=DATED)
    found = event(Updated(replace(worker, status=NodeStatus(state="down"))), worker).attributes
    assert not [key for key in found if key.startswith("reachability")]


def test_a_change_of_leaders_is_told_for_both() -> None:
    state = make_state(make_node("a"), make_node("b"))
    a, b = NodeId("a"), NodeId("b")
    first, second = leader_events(state, a, b, NOW)
    assert (first.type, first.action, first.at) == ("node", "update", NOW)
    assert first.actor_id == "a"
    assert first.attributes == {"name": "a", "leader.old": "true", "leader.new": "false"}
    assert second.actor_id == "b"
    assert second.attributes == {"name": "b", "leader.old": "false", "leader.new": "true"}
    assert leader_events(state, None, b, NOW) == leader_events(state, a, a, NOW) == []
    assert [e.actor_id for e in leader_events(state, NodeId("gone"), b, NOW)] == ["b"]
