"""A stack's objects are those that Docker's client sends for the same file.

The expected bodies are recordings of `docker stack deploy` 28.2.2, see stack_recorder.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.compose.loader import load
from stack.compose.source import Source, SourceFile
from stack.errors import ComposeError
from stack.translate.stack_spec import stack_spec
from tests.compat.stack_differences import DIFFERENCES
from tests.compat.stack_recorder import ENVIRONMENT, FOLDER, PARENT, STACK, cases

EXTENSION_LABEL = "com.stackyard.ext"


def meaning(bodies: dict[str, Any]) -> dict[str, Any]:
    """Bodies in which what means the same is the same.

    Docker's client leaves out protocol and mode of a port's long form, and keeps the order of
    extra hosts.
    """
    for service in bodies.get("services", ()):
        service["TaskTemplate"]["ContainerSpec"].get("Hosts", []).sort()
        for port in service["EndpointSpec"].get("Ports", ()):
            port.setdefault("Protocol", "tcp")
            port.setdefault("PublishMode", "ingress")
    return bodies


def recorded(name: str) -> dict[str, Any]:
    text = (FOLDER / f"{name}.json").read_text().replace(PARENT, str(FOLDER.parent))
    return meaning(json.loads(text))


def ours(name: str) -> dict[str, Any]:
    files = tuple(SourceFile(path.name, path.read_bytes()) for path in cases()[name])
    spec = stack_spec(load(Source(files, str(FOLDER), ENVIRONMENT, "/root"), STACK).compose)
    bodies = {
        "networks": sorted(spec.networks, key=lambda body: str(body["Name"])),
        "secrets": sorted(spec.secrets, key=lambda body: str(body["Name"])),
        "configs": sorted(spec.configs, key=lambda body: str(body["Name"])),
        "services": sorted(spec.services, key=lambda body: str(body["Name"])),
    }
    for service in bodies["services"]:
        container = service["TaskTemplate"]["ContainerSpec"]
        for kind in ("Secret", "Config"):
            for reference in container.get(f"{kind}s", ()):
                reference[f"{kind}ID"] = f"id-{reference[f'{kind}Name']}"
        service["Labels"].pop(EXTENSION_LABEL, None)  # what Docker's client has no way to say
    text = json.dumps({kind: found for kind, found in bodies.items() if found})
    return meaning(json.loads(text))


@pytest.mark.parametrize("name", sorted(cases()))
def test_the_objects_are_those_of_docker_s_client(name: str) -> None:
    try:
        translated = ours(name)
    except ComposeError as error:
        translated = {"error": str(error)}
    if name in DIFFERENCES:
        assert translated != recorded(name), f"{name}: no longer different, take it off the list"
    else:
        assert translated == recorded(name)
