"""Containers on several hosts reach each other, by address, and only those of their networks."""

import pytest

from tests.support.data_plane import DataPlane

BOTH = pytest.mark.parametrize("kind", ["tcp", "udp"])


@BOTH
def test_tasks_reach_each_other_on_the_same_and_on_another_host(
    plane: DataPlane, kind: str
) -> None:
    assert plane.ask("cli.1", kind, "10.50.1.11") == ["web.1 10.50.1.21"]
    assert plane.ask("cli.1", kind, "10.50.1.12") == ["web.2 10.50.1.21"]
    assert plane.ask("cli.1", kind, "10.50.2.11") == ["db.1 10.50.2.21"]


@BOTH
def test_another_stacks_networks_are_out_of_reach(plane: DataPlane, kind: str) -> None:
    (said,) = plane.ask("blog.1", kind, "10.50.1.11")
    assert said.startswith("error")
    (said,) = plane.ask("web.1", kind, "10.50.2.11")
    assert said.startswith("error")
