"""Rules of published ports as text: in the ingress namespace, in the host, and what changes."""

import msgspec

from cluster.network.ingress_rules import (
    IngressRules,
    PortRule,
    changed_ports,
    plan_ports,
    plan_rules,
    render_guard,
    render_host,
    render_ingress,
    render_ingress_change,
    unserved_ports,
)
from tests.unit.cluster.network.views import ingress, port, view

WHOLE = """\
add table ip stackyard
delete table ip stackyard
table ip stackyard {
  map ports { type inet_proto . inet_service : verdict; }
  set hiding { type inet_proto . inet_service; }
  map entries { type ether_addr : mark; }
  counter p_tcp_8080 { }
  chain p_tcp_8080 { }
  counter p_tcp_9000 { }
  chain p_tcp_9000 { }
  chain zones {
    type filter hook prerouting priority raw;
    iifname "up0" ct original zone set 65535
    iifname "vx0" ct original zone set ether saddr map { 02:4e:00:00:00:02 : 2 }
  }
  chain marks {
    type filter hook prerouting priority mangle;
    iifname "vx0" ct state new ct mark set ether saddr map @entries
    iifname "up0" ct state new meta l4proto . th dport @hiding ct mark set 0x10000
    iifname != { "vx0", "up0" } ct direction reply ct mark & 0xffff != 0 meta mark set ct mark & 0xffff
  }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "up0" meta l4proto . th dport vmap @ports
  }
  chain forward {
    type filter hook forward priority filter;
    iifname != { "vx0", "up0" } oifname != "up0" ct state new drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr 169.254.90.1 oifname != "up0" snat to 10.255.0.1
    oifname != "up0" ct mark 0x10000 snat to 10.255.0.1
    iifname != "vx0" oifname "up0" ct direction original snat to 169.254.90.2
  }
}
add element ip stackyard entries { 02:4e:00:00:00:02 : 2 }
flush chain ip stackyard p_tcp_8080
add rule ip stackyard p_tcp_8080 counter name "p_tcp_8080" meta l4proto tcp dnat to numgen inc mod 2 map { 0 : 10.255.1.11, 1 : 10.255.1.12 } : 80
add element ip stackyard ports { tcp . 8080 : goto p_tcp_8080 }
flush chain ip stackyard p_tcp_9000
add rule ip stackyard p_tcp_9000 counter name "p_tcp_9000" meta l4proto tcp dnat to numgen inc mod 2 map { 0 : 10.255.1.11, 1 : 10.255.1.12 } : 80
add element ip stackyard ports { tcp . 9000 : goto p_tcp_9000 }
add element ip stackyard hiding { tcp . 9000 }
"""


def rules() -> IngressRules:
    return plan_rules(ingress(), view(), plan_ports(ingress()))


def test_the_ingress_namespace_chooses_a_task_and_remembers_the_way_back() -> None:
    assert render_ingress(rules(), {}) == WHOLE


def test_a_cluster_of_one_node_has_no_zones_of_others() -> None:
    alone = msgspec.structs.replace(rules(), peers=())
    assert "ether saddr map {" not in render_ingress(alone, {})


def test_the_host_honours_the_address_of_a_port_and_admits_nothing_else() -> None:
    text = render_host(plan_ports(ingress()))
    assert "set published { type inet_proto . inet_service; elements = { tcp . 8080 }; }" in text
    assert (
        "set published_at { type ipv4_addr . inet_proto . inet_service;"
        " elements = { 127.0.0.1 . tcp . 9000 }; }" in text
    )
    assert 'oifname "stk-up" ct direction original ct status & dnat == 0 drop' in text
    assert "elements" not in render_host({})


def test_only_other_nodes_may_send_into_the_tunnels() -> None:
    text = render_guard(view())
    assert "set nodes { type ipv4_addr; elements = { 192.0.2.2 }; }" in text
    assert 'udp dport 4789 ip saddr != @nodes counter name "refused" drop' in text


def test_equal_states_differ_in_nothing() -> None:
    assert not render_ingress_change(rules(), rules(), {})
    assert not changed_ports(rules(), rules())


def test_another_backend_replaces_one_chain() -> None:
    after = {**rules().ports}
    after["tcp_8080"] = msgspec.structs.replace(after["tcp_8080"], backends=("10.255.1.12",))
    wanted = msgspec.structs.replace(rules(), ports=after)
    assert changed_ports(rules(), wanted) == ["tcp_8080"]
    assert render_ingress_change(rules(), wanted, {}) == (
        "flush chain ip stackyard p_tcp_8080\n"
        'add rule ip stackyard p_tcp_8080 counter name "p_tcp_8080" meta l4proto tcp'
        " dnat to numgen inc mod 1 map { 0 : 10.255.1.12 } : 80\n"
    )


def test_a_port_that_is_published_no_more_goes_with_its_chain() -> None:
    wanted = msgspec.structs.replace(rules(), ports={"tcp_8080": rules().ports["tcp_8080"]})
    assert render_ingress_change(rules(), wanted, {}) == (
        "delete element ip stackyard ports { tcp . 9000 }\n"
        "delete element ip stackyard hiding { tcp . 9000 }\n"
        "flush chain ip stackyard p_tcp_9000\n"
        "delete chain ip stackyard p_tcp_9000\n"
        "delete counter ip stackyard p_tcp_9000\n"
    )


def test_a_new_node_means_the_whole_table() -> None:
    wanted = msgspec.structs.replace(rules(), peers=(2, 3))
    assert render_ingress_change(rules(), wanted, {}) == render_ingress(wanted, {})


def test_what_cannot_be_served_is_said() -> None:
    twice = ingress(port(80), port(80, service="other"))
    assert unserved_ports(twice) == ["port 80/tcp: published twice; only the first is served"]
    assert plan_ports(twice) == {
        "tcp_80": PortRule(
            protocol="tcp",
            published_port=80,
            target_port=80,
            backends=("10.255.1.11", "10.255.1.12"),
        )
    }
