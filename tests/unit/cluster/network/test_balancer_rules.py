"""Rules of virtual addresses as text: the whole, and what changes."""

from collections import Counter

from cluster.network.balancer_rules import (
    begin_of_turn,
    changed_services,
    in_turn,
    plan_balancing,
    render_change,
    render_table,
)
from tests.unit.cluster.network.views import front, task

WHOLE = """\
add table ip stackyard
delete table ip stackyard
table ip stackyard {
  map vips { type ipv4_addr : verdict; }
  set own { type ipv4_addr . ipv4_addr; }
  counter s_web { }
  chain s_web { }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr vmap @vips
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ct status dnat ip saddr . ip daddr @own masquerade
  }
}
flush chain ip stackyard s_web
add rule ip stackyard s_web counter name "s_web" dnat to numgen inc mod 2 map { 0 : 10.0.1.12, 1 : 10.0.1.11 }
add element ip stackyard vips { 10.0.1.2 : goto s_web }
add element ip stackyard own { 10.0.1.11 . 10.0.1.11 }
add element ip stackyard own { 10.0.1.22 . 10.0.1.22 }
add element ip stackyard own { 10.0.1.31 . 10.0.1.31 }
"""


def test_only_serving_tasks_of_services_with_an_address_are_balanced() -> None:
    assert render_table(plan_balancing(front(), 1), {"web": 1}) == WHOLE


def test_equal_states_differ_in_nothing() -> None:
    state = plan_balancing(front(), 1)
    assert not render_change(state, state, {})
    assert not changed_services(state, state)


def test_another_backend_replaces_one_chain_and_nothing_else() -> None:
    one = plan_balancing(front(task("a", "10.0.1.9", 2, "web")), 1)
    two = plan_balancing(
        front(task("a", "10.0.1.9", 2, "web"), task("b", "10.0.1.10", 2, "web")), 1
    )
    assert changed_services(one, two) == ["web"]
    assert render_change(one, two, {"web": 0}) == (
        "flush chain ip stackyard s_web\n"
        'add rule ip stackyard s_web counter name "s_web" dnat to numgen inc mod 2'
        " map { 0 : 10.0.1.9, 1 : 10.0.1.10 }\n"
    )


def test_a_service_that_nobody_serves_leaves_its_address_to_the_router() -> None:
    some = plan_balancing(front(task("a", "10.0.1.9", 1, "web")), 1)
    none = plan_balancing(front(task("a", "10.0.1.9", 1, "web", "draining")), 1)
    assert render_change(some, none, {}) == (
        "delete element ip stackyard vips { 10.0.1.2 }\n"
        "flush chain ip stackyard s_web\n"
        "delete chain ip stackyard s_web\n"
        "delete counter ip stackyard s_web\n"
    )
    assert render_change(none, some, {}) == (
        "add counter ip stackyard s_web\n"
        "add chain ip stackyard s_web\n"
        "flush chain ip stackyard s_web\n"
        'add rule ip stackyard s_web counter name "s_web" dnat to numgen inc mod 1 map { 0 : 10.0.1.9 }\n'
        "add element ip stackyard vips { 10.0.1.2 : goto s_web }\n"
    )


def test_a_turn_names_each_backend_once_wherever_it_begins() -> None:
    addresses = ("a", "b", "c")
    assert in_turn(addresses, 4) == "numgen inc mod 3 map { 0 : b, 1 : c, 2 : a }"


def test_turns_begin_everywhere_equally_often() -> None:
    begins = Counter(begin_of_turn(1, "web", change) % 2 for change in range(0, 2000, 2))
    assert abs(begins[0] - begins[1]) < 100
