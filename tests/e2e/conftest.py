"""Three hosts and one cluster for all end-to-end tests of a run, as new before each test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, three_hosts

Measure = Callable[[str], AbstractContextManager[None]]

# A second lab beside that of the demo: folder, addresses and namespaces of its own.
NAME, SUBNET = "e2e", "10.76.0.0/24"
TEST_LIMIT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and give it time for restoring the cluster."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    lines = [
        f"{value:>7}  {name}" for r in reports for name, value in getattr(r, "user_properties", ())
    ]
    if lines:
        terminalreporter.section("measured in the lab")
        terminalreporter.write_line("\n".join(lines))


@pytest.fixture(scope="session")
def hosts() -> Iterator[Cluster]:
    """Three hosts with the examples' images, and a cluster of them, in any state."""
    with three_hosts(NAME, SUBNET) as cluster:
        yield cluster


@pytest.fixture
def cluster(hosts: Cluster) -> Cluster:
    """The cluster of the manager h1 and the workers h2 and h3, all ready, without services."""
    hosts.restore()
    return hosts


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Measure:
    """Write down how long a part of the test took."""

    @contextlib.contextmanager
    def measuring(what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        record_property(what, f"{time.monotonic() - began:.2f} s")

    return measuring
