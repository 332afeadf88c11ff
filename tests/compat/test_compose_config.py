"""Compose files mean what docker-compose takes them to mean: recordings of 2.40.3 say what that is."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from stack.compose.render import escaped, render
from stack.compose.resolve import Options, resolve
from stack.compose.source import read_source
from stack.errors import StackError
from tests.compat.compose_recorder import SHELL, Case, ask, cases, placed, recorded

DIFFERENCES: dict[str, str] = {
    "blkio": "keys of blkio_config are printed as a file may have them, so that they load again; "
    "docker-compose prints Path and Rate",
    "build": "docker-compose cannot print build.ssh as JSON",
    "commands": "operators such as && are words, as in docker stack; docker-compose drops them and "
    "what follows",
    "command-amp-in-word": "as in the case commands",
    "command-lt": "as in the case commands",
    "command-paren": "parentheses are text, as in docker stack; docker-compose refuses them",
    "interp-default-lazy": "a default that is not needed is not looked at, as newer releases do",
    "interp-key": "a dollar sign in a key is printed as it is, since keys are not interpolated when "
    "the output is read again; docker-compose doubles it",
    "merge-basic": "the same host and address in two files is one entry of extra_hosts; "
    "docker-compose repeats it when it is spelled differently",
    "merge-docs-empty": "an empty document between others is skipped",
    "nets": "ipam.options are kept; docker-compose drops them",
    "provider": "an option of a provider is printed as it is written",
    "secret-driver": "a secret may come from a driver, as in docker stack",
    "x-env": "variables and labels may begin with x-; docker-compose mangles them",
    "x-ulimits": "docker-compose mangles a limit whose name begins with x-",
    "yaml-date": "a date is text; docker-compose refuses it",
}
"""Cases in which we differ, and why; docs/compatibility.md prints them."""


def ours(case: Case) -> dict[str, Any]:
    try:
        source = read_source(tuple(str(file) for file in case.files), {**SHELL, **case.environment})
        resolved = resolve(source, Options(profiles=case.profiles))
        shown = escaped(render(resolved.root, extensions=False))
    except StackError as error:
        return {"error": str(error)}
    return {"config": json.loads(placed(json.dumps(shown)))}


@pytest.mark.parametrize("name", sorted(cases()))
def test_a_file_means_what_docker_compose_takes_it_to_mean(name: str) -> None:
    case = cases()[name]
    wanted, found = recorded(case), ours(case)
    if "error" in wanted and "error" in found:
        assert found["error"]
        wanted = found
    if name in DIFFERENCES:
        assert found != wanted, f"{name}: no longer different, take it off the list"
    else:
        assert found == wanted


@pytest.mark.skipif("DOCKER_COMPOSE" not in os.environ, reason="DOCKER_COMPOSE names no program")
@pytest.mark.parametrize("name", sorted(cases()))
def test_the_recordings_are_what_docker_compose_says(name: str) -> None:
    assert ask(os.environ["DOCKER_COMPOSE"], cases()[name]) == recorded(cases()[name])
