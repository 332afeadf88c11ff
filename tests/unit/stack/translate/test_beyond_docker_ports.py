"""What Docker's client cannot say of a service's ports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.compose.types import (
    Port,
)
from stack.errors import ComposeError
from stack.translate.extensions import EXTENSION_LABEL
from tests.unit.stack.translate.translated import label, translate


def port(**settings: Any) -> Port:
    return Port(**{"target": 80, "published": 8080, "mode": "host", **settings})


def test_addresses_of_ports_go_into_the_label() -> None:
    made = translate(ports=(port(host_ip="127.0.0.1"), port(host_ip="10.0.0.1")))
    assert made["EndpointSpec"]["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    ]
    assert json.loads(made["Labels"][EXTENSION_LABEL]) == {
        "ports": [
            {
                "target": 80,
                "published": 8080,
                "protocol": "tcp",
                "host_ips": ["127.0.0.1", "10.0.0.1"],
            }
        ]
    }


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::"])
def test_all_addresses_need_no_label(address: str) -> None:
    assert label(ports=(port(host_ip=address),)) is None
    assert label(ports=(port(host_ip="127.0.0.1"), port(host_ip=address))) is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"published_end": 8089, "mode": "host"}, "cannot choose one port of a range"),
        ({"mode": "ingress", "host_ip": "::1"}, "published on IPv4 addresses only"),
    ],
)
def test_ports_that_a_cluster_cannot_publish(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ComposeError, match=problem):
        translate(ports=(port(**settings),))


def test_the_network_of_the_host_has_no_ports_on_all_nodes() -> None:
    with pytest.raises(ComposeError, match="network_mode host has no ports of mode ingress"):
        translate(network_mode="host", ports=(port(mode="ingress"),))


def test_addresses_and_hidden_clients_of_ports_on_all_nodes() -> None:
    loopback = port(mode="ingress", host_ip="127.0.0.1")
    hiding = port(mode="ingress", published=8081, hide_client=True)
    made = translate(ports=(loopback, hiding))
    assert [port["PublishMode"] for port in made["EndpointSpec"]["Ports"]] == ["ingress"] * 2
    assert json.loads(made["Labels"][EXTENSION_LABEL])["ports"] == [
        {"target": 80, "published": 8080, "protocol": "tcp", "host_ips": ["127.0.0.1"]},
        {"target": 80, "published": 8081, "protocol": "tcp", "hide_client": True},
    ]
