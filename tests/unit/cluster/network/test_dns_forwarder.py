"""Which resolvers the host uses."""

from cluster.network.dns_forwarder import parse_resolv_conf


def test_name_servers_are_read_and_all_else_is_not() -> None:
    text = (
        "# one\nsearch example.org\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver x\n"
    )
    assert parse_resolv_conf(text) == ["192.0.2.1", "fe80::1%eth0"]
