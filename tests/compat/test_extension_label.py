"""The extension label in the hands of the stock docker command."""

from __future__ import annotations

import json

import pytest

from cluster.model.extensions import EXTENSION_LABEL, ContainerExtensions, TaskExtensions
from tests.compat.conftest import IMAGE, DockerCli
from tests.compat.memory_node import MemoryNode

pytestmark = pytest.mark.integration

QUIET = ("--detach", "--no-resolve-image")


async def test_the_stock_client_sets_keeps_and_changes_settings(
    swarm: DockerCli, local_node: MemoryNode
) -> None:
    label = f'{EXTENSION_LABEL}={{"container":{{"privileged":true}}}}'
    await swarm("service", "create", "--name", "web", "--label", label, *QUIET, IMAGE)
    await swarm("service", "update", "--env-add", "A=1", *QUIET, "web")
    await swarm("service", "scale", "--detach", "web=3")
    assert local_node.memory is not None
    service = local_node.memory.view().service_by_name("web")
    assert service is not None
    assert service.spec.task_template.extensions == TaskExtensions(
        container=ContainerExtensions(privileged=True)
    )
    (shown,) = json.loads(await swarm("service", "inspect", "web"))
    assert shown["Spec"]["Labels"] == {EXTENSION_LABEL: '{"container":{"privileged":true}}'}
    await swarm("service", "update", "--label-rm", EXTENSION_LABEL, *QUIET, "web")
    service = local_node.memory.view().service_by_name("web")
    assert service is not None
    assert service.spec.task_template.extensions is None


async def test_a_wrong_setting_is_refused_with_its_place(swarm: DockerCli) -> None:
    label = f'{EXTENSION_LABEL}={{"container":{{"privileged":"yes"}}}}'
    answer = await swarm("service", "create", "--label", label, *QUIET, IMAGE, rc=1)
    assert 'Labels["com.stackyard.ext"].container.privileged: expected `bool`' in answer
