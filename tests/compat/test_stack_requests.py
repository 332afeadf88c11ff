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
from tests.compat.stack_recorder import ENVIRONMENT, FOLDER, PARENT, STACK, cases

EXTENSION_LABEL = "com.stackyard.ext"

_INGRESS = "ports in mode ingress are refused: stackd has no routing mesh yet"
_JOBS = "jobs are refused: stackd does not run them yet"
_FILES = "secrets and configs are refused: stackd does not have them yet"
_NOT_YET = "not translated yet"

DIFFERENCES: dict[str, str] = {
    "capabilities": _NOT_YET,
    "capabilities-all": _NOT_YET,
    "capabilities-both": _NOT_YET,
    "configs-file": _FILES,
    "credential-registry": _NOT_YET,
    "credential-spec": _NOT_YET,
    "dns": _NOT_YET,
    "dns-text": _NOT_YET,
    "elastic": _NOT_YET,
    "env-file": _NOT_YET,
    "env-file-list": _NOT_YET,
    "environment-null": "a variable without a value that is not set is left out with a warning",
    "extra-hosts": _NOT_YET,
    "extra-hosts-map": _NOT_YET,
    "isolation": _NOT_YET,
    "job-global": _JOBS,
    "jobs": _JOBS,
    "logging": _NOT_YET,
    "logging-driver-only": _NOT_YET,
    "merge-lists": _NOT_YET,
    "monitoring": _NOT_YET,
    "ports-long": _INGRESS,
    "ports-range": _INGRESS,
    "ports-short": _INGRESS,
    "resources-generic": _NOT_YET,
    "restart-no": "restart: 'no' means condition none; Docker's client leaves the policy out, and the "
    "cluster then restarts always",
    "restart-on-failure": _NOT_YET,
    "secrets-file": _FILES,
    "sysctls": _NOT_YET,
    "sysctls-list": _NOT_YET,
    "tmpfs-mode": "the mode of a tmpfs is applied; Docker's client drops it",
    "ulimits": _NOT_YET,
    "ulimits-one": _NOT_YET,
    "volumes-one-letter": "v:/v is the volume v; Docker's client takes one letter for a drive",
}
"""Cases in which we send something else, and why; docs/compatibility.md prints them."""


def with_port_defaults(bodies: dict[str, Any]) -> dict[str, Any]:
    """Docker's client leaves out protocol and mode of the long form; both mean the same."""
    for service in bodies.get("services", ()):
        for port in service["EndpointSpec"].get("Ports", ()):
            port.setdefault("Protocol", "tcp")
            port.setdefault("PublishMode", "ingress")
    return bodies


def recorded(name: str) -> dict[str, Any]:
    text = (FOLDER / f"{name}.json").read_text().replace(PARENT, str(FOLDER.parent))
    return with_port_defaults(json.loads(text))


def ours(name: str) -> dict[str, Any]:
    files = tuple(SourceFile(path.name, path.read_bytes()) for path in cases()[name])
    spec = stack_spec(load(Source(files, str(FOLDER), ENVIRONMENT, "/root"), STACK).compose)
    bodies = {
        "networks": sorted(spec.networks, key=lambda body: str(body["Name"])),
        "services": sorted(spec.services, key=lambda body: str(body["Name"])),
    }
    for service in bodies["services"]:
        service["Labels"].pop(EXTENSION_LABEL, None)  # what Docker's client has no way to say
    text = json.dumps({kind: found for kind, found in bodies.items() if found})
    return with_port_defaults(json.loads(text))


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
