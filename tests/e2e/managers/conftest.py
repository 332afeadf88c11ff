"""Five hosts and one cluster of three managers and two workers, whole before each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.manager_group import HOSTS, ManagerGroup

NAME, SUBNET = "managers", "10.74.0.0/24"


@pytest.fixture(scope="package")
def five_hosts() -> Iterator[ManagerGroup]:
    """Five hosts, in any state."""
    with Lab(NAME, subnet=SUBNET) as lab, tempfile.TemporaryDirectory(prefix="sy-e2e-") as folder:
        lab.down()  # what a run that was killed has left
        lab.up(len(HOSTS), stackd=True)
        yield ManagerGroup(lab, Path(folder))


@pytest.fixture
def group(five_hosts: ManagerGroup) -> ManagerGroup:
    """The cluster of the managers h1, h2 and h3 and the workers h4 and h5, all ready."""
    five_hosts.restore()
    return five_hosts
