from __future__ import annotations

import pytest

from cluster.errors import InvalidArgument
from cluster.executor.templates import Templates
from cluster.model.node import NodeDescription
from cluster.model.placement import Platform
from tests.unit.cluster.executor.tasks import a_task

TEMPLATES = Templates(
    a_task(service_labels={"team": "blue", "a.b": "dotted"}),
    NodeDescription(hostname="h1", platform=Platform(architecture="x86_64", os="linux")),
)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{{.Service.Name}}/{{.Service.ID}}", "web/service"),
        ("{{ .Task.Name }}", "web.2.task"),
        ("{{.Task.ID}}-{{.Task.Slot}}", "task-2"),
        ("{{.Node.ID}}@{{.Node.Hostname}}", "node@h1"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64"),
        ("{{.Service.Labels.team}}", "blue"),
        ('{{index .Service.Labels "a.b"}}', "dotted"),
        ('{{index .Service.Labels "none"}}', ""),
    ],
)
def test_templates_are_filled(text: str, filled: str) -> None:
    assert TEMPLATES.fill(text, "here") == filled


def test_an_unknown_template_names_itself_and_its_place() -> None:
    with pytest.raises(InvalidArgument, match=r"Env A: \{\{\.Task\.Color\}\} is unknown"):
        TEMPLATES.fill("x {{.Task.Color}}", "Env A")


def test_an_error_never_shows_the_value() -> None:
    with pytest.raises(InvalidArgument) as raised:
        TEMPLATES.fill("s3cret {{ s3cret! }}", "Env A")
    assert "s3cret" not in str(raised.value)


def test_an_open_template_is_an_error() -> None:
    with pytest.raises(InvalidArgument, match="never closed"):
        TEMPLATES.fill("{{.Task.ID", "Env A")


def test_a_global_task_shows_its_node_as_slot() -> None:
    templates = Templates(a_task(slot=0), NodeDescription())
    assert templates.fill("{{.Task.Slot}}", "here") == "node"
