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
from tests.compat.compose_differences import DIFFERENCES
from tests.compat.compose_recorder import SHELL, Case, ask, cases, placed, recorded


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
    case = cases()[name]
    said, known = ask(os.environ["DOCKER_COMPOSE"], case), recorded(case)
    if "error" in said and "error" in known:
        return  # the words of some errors change from run to run
    assert said == known
