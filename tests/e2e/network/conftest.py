"""Hosts of their own for these tests, so that they can run beside the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, three_hosts

NAME, SUBNET = "e2e-network", "10.73.0.0/24"


@pytest.fixture(scope="package")
def hosts() -> Iterator[Cluster]:
    """Three hosts with the examples' images, and a cluster of them, in any state."""
    with three_hosts(NAME, SUBNET) as cluster:
        yield cluster
