"""What netlink sets follows from the view, and a difference leads from one plan to the other."""

from cluster.network.overlay_plan import (
    Address,
    Neighbour,
    OverlayPlan,
    ReturnRule,
    Route,
    TunnelEntry,
    difference,
    plan_ingress,
    plan_overlay,
)
from tests.unit.cluster.network.views import front, ingress, task, view

PEER_MAC = "02:4e:00:00:00:02"


def test_a_network_leads_to_tasks_of_other_nodes_and_nowhere_else() -> None:
    plan = plan_overlay(front(), view())
    assert plan.addresses == {
        Address("lo", "10.0.1.1"),
        Address("lo", "10.0.1.2"),
        Address("vx0", "198.18.0.1"),
    }
    assert plan.neighbours == {Neighbour("198.18.0.2", PEER_MAC)}
    assert plan.tunnel == {TunnelEntry(PEER_MAC, "192.0.2.2")}
    assert plan.routes == {
        Route("10.0.1.0/24"),
        *(Route(f"10.0.1.{n}/32", "198.18.0.2", "vx0") for n in (12, 13, 21)),
    }
    assert not plan.rules


def test_a_task_of_a_node_that_is_no_member_has_no_route() -> None:
    plan = plan_overlay(front(task("x", "10.0.1.9", 5)), view())
    assert plan.routes == {Route("10.0.1.0/24")}


def test_the_ingress_network_leads_out_and_answers_back_to_where_they_came_from() -> None:
    plan = plan_ingress(ingress(), view())
    assert Address("lo", "10.255.0.1") in plan.addresses
    assert {
        Route("0.0.0.0/0", "169.254.90.1", "up0"),
        Route("0.0.0.0/0", "198.18.0.2", "vx0", 1002),
        Route("10.255.0.2/32", "198.18.0.2", "vx0"),
    } < plan.routes
    assert plan.rules == {ReturnRule(2, 1002)}


def test_equal_plans_differ_in_nothing() -> None:
    plan = plan_overlay(front(), view())
    assert difference(plan, plan).is_empty


def test_what_is_replaced_in_place_is_not_removed() -> None:
    have = plan_overlay(front(task("x", "10.0.1.9", 2)), view())
    moved = Route("10.0.1.9/32", "198.18.0.3", "vx0")
    want = OverlayPlan(
        addresses=have.addresses,
        neighbours=have.neighbours,
        tunnel=frozenset({TunnelEntry(PEER_MAC, "192.0.2.9")}),
        routes=frozenset({Route("10.0.1.0/24"), moved}),
    )
    change = difference(have, want)
    assert change.add == OverlayPlan(
        tunnel=frozenset({TunnelEntry(PEER_MAC, "192.0.2.9")}), routes=frozenset({moved})
    )
    assert change.remove == OverlayPlan()


def test_what_is_not_wanted_any_more_is_removed() -> None:
    have = plan_overlay(front(), view())
    change = difference(have, plan_overlay(front(task("x", "10.0.1.12", 2)), view()))
    assert change.remove.routes == {Route(f"10.0.1.{n}/32", "198.18.0.2", "vx0") for n in (13, 21)}
    assert change.add == OverlayPlan()
