from __future__ import annotations

import pytest

from cluster.api.payloads.networks import decode_network_request, decode_network_spec
from tests.unit.cluster.api.golden_files import golden


@pytest.mark.parametrize("number", range(len(golden("network-create-requests"))))
def test_recorded_requests_are_the_clusters(number: int) -> None:
    body = golden("network-create-requests")[number]["body"]
    assert decode_network_request(body).is_for_cluster
    assert decode_network_spec(body).name == body["Name"]


def test_other_networks_are_the_engines() -> None:
    assert not decode_network_request({"Name": "a", "Driver": "bridge"}).is_for_cluster
    assert not decode_network_request({"Name": "a"}).is_for_cluster
    assert decode_network_request({"Name": "a", "ingress": True}).is_for_cluster
