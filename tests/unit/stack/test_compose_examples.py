"""The examples load without an error, and mean what their pages say."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from stack.check.check import check
from stack.check.finding import Severity
from stack.compose.loader import Loaded, load
from stack.compose.source import read_source
from stack.errors import ComposeError
from stack.translate.extensions import EXTENSION_LABEL
from stack.translate.stack_spec import stack_spec

EXAMPLES = Path(__file__).parents[3] / "compose_examples"


def loaded(*files: str, **shell: str) -> Loaded:
    return load(read_source(tuple(str(EXAMPLES / file) for file in files), shell))


def services(*files: str, **shell: str) -> dict[str, Any]:
    return {body["Name"]: body for body in stack_spec(loaded(*files, **shell).compose).services}


def env(body: Any) -> dict[str, str]:
    pairs = (text.split("=", 1) for text in body["TaskTemplate"]["ContainerSpec"]["Env"])
    return dict(pairs)


@pytest.mark.parametrize(
    "folder", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
)
def test_an_example_has_a_page_and_nothing_that_keeps_it_from_a_cluster(folder: str) -> None:
    assert (EXAMPLES / folder / "README.md").exists()
    source = read_source((str(EXAMPLES / folder / "docker-compose.yml"),), {"API_KEY": "k"})
    assert [one for one in check(source) if one.severity is Severity.ERROR] == []


def test_stages_development() -> None:
    (web,) = services("stages/docker-compose.yml").values()
    assert web["Name"] == "stages_web"
    assert env(web) == {
        "GREETING": "Hello",
        "PYTHONUNBUFFERED": "1",
        "STAGE": "development",
        "TITLE": "The stages example",
    }
    assert [port["PublishedPort"] for port in web["EndpointSpec"]["Ports"]] == [8082]
    assert web["Mode"] == {"Replicated": {}}


def test_stages_production() -> None:
    (web,) = services(
        "stages/docker-compose.yml",
        "stages/docker-compose.production.yml",
        COMPOSE_ENV_FILES=str(EXAMPLES / "stages/production.env"),
    ).values()
    assert env(web) == {
        "GREETING": "Welcome",
        "PYTHONUNBUFFERED": "1",
        "STAGE": "production",
        "TITLE": "The stages example",
        "WORKERS": "4",
    }
    assert [port["PublishedPort"] for port in web["EndpointSpec"]["Ports"]] == [80]
    assert web["Mode"] == {"Replicated": {"Replicas": 3}}
    assert web["TaskTemplate"]["Resources"] == {"Limits": {"MemoryBytes": 64 << 20}}


def test_parts() -> None:
    made = services("parts/docker-compose.yml")
    assert sorted(made) == ["parts_front", "parts_greeter"]
    front = made["parts_front"]
    container = front["TaskTemplate"]["ContainerSpec"]
    assert container["ReadOnly"] is True
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["Privileges"]["NoNewPrivileges"] is True
    assert container["Mounts"] == [
        {
            "Type": "tmpfs",
            "Target": "/tmp",
            "TmpfsOptions": {"SizeBytes": 8 << 20, "Options": [["noexec"]]},
        }
    ]
    assert front["TaskTemplate"]["Resources"]["Limits"]["Pids"] == 50
    assert env(made["parts_greeter"]) == {"GREETING": "Greetings from the included project"}
    document = json.loads(front["Labels"][EXTENSION_LABEL])
    assert document["depends_on"]["parts_greeter"] == {"condition": "service_healthy"}


def test_parts_with_the_profile() -> None:
    made = services("parts/docker-compose.yml", COMPOSE_PROFILES="tools")
    assert sorted(made) == ["parts_debug", "parts_front", "parts_greeter"]


def test_settings() -> None:
    given = loaded("settings/docker-compose.yml", API_KEY="k", TITLE="T").compose
    spec = stack_spec(given)
    data = {body["Name"]: b64decode(body["Data"]) for body in (*spec.configs, *spec.secrets)}
    assert data == {
        "settings_settings": b'{"title": "T", "price": "5 $"}\n',
        "settings_motd": b"Welcome to the settings example.\n",
        "settings_api-key": b"k",
        "settings_certificate": b"not a real certificate\n",
    }
    prepare, web = sorted(spec.services, key=lambda body: str(body["Name"]))
    assert prepare["Mode"] == {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 2}}
    container = web["TaskTemplate"]["ContainerSpec"]
    files = {one["SecretName"]: one["File"] for one in container["Secrets"]}
    assert files["settings_api-key"] == {"Name": "key", "UID": "1000", "GID": "1000", "Mode": 0o400}


def test_settings_without_the_secret_s_variable_stop() -> None:
    with pytest.raises(ComposeError, match="API_KEY"):
        loaded("settings/docker-compose.yml")
