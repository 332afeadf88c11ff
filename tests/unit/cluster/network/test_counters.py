"""What the kernel prints of its counters, as numbers."""

from __future__ import annotations

from cluster.network.counters import Traffic, parse_netstat, traffic_of, tunnel_traffic
from cluster.network.netlink import Link
from cluster.network.nftables import parse_counters

LISTING = """\
table ip stackyard {
\tcounter s_web {
\t\tpackets 12 bytes 720
\t}
\tcounter p_tcp_8080 {
\t\tpackets 0 bytes 0
\t}
}
"""

NETSTAT = """\
TcpExt: SyncookiesSent IPReversePathFilter TCPLoss
TcpExt: 1 7 3
IpExt: InNoRoutes InOctets
IpExt: 0 4096
"""


def link(name: str, received: int, sent: int) -> Link:
    return Link(
        name=name,
        index=1,
        mtu=1450,
        is_up=True,
        has_carrier=True,
        rx_bytes=received,
        tx_bytes=sent,
        rx_packets=1,
        tx_packets=2,
    )


def test_named_counters_are_read() -> None:
    assert parse_counters(LISTING) == {"s_web": 12, "p_tcp_8080": 0}
    assert parse_counters("") == {}


def test_a_value_of_netstat_is_found_by_its_name() -> None:
    assert parse_netstat(NETSTAT, "IPReversePathFilter") == 7
    assert parse_netstat(NETSTAT, "InOctets") == 4096
    assert parse_netstat(NETSTAT, "Nothing") == 0


def test_what_a_router_receives_containers_have_sent() -> None:
    ends = [link("va", 100, 10), link("vb", 200, 20)]
    assert traffic_of(ends) == Traffic(
        sent_bytes=300, sent_packets=2, received_bytes=30, received_packets=4
    )
    assert tunnel_traffic(link("vx0", 5, 7)) == Traffic(
        sent_bytes=7, sent_packets=2, received_bytes=5, received_packets=1
    )
    assert tunnel_traffic(None) == Traffic()
