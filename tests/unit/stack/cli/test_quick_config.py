"""``stack config`` without the command-line library is ``stack config`` with it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from stack.cli.config import config
from stack.cli.project import ProjectChoice
from stack.cli.quick_config import FLAGS, WITH_VALUE, read_quickly
from stack.cli.shown_project import Shown


def test_both_have_the_same_options() -> None:
    known: dict[str, object] = {}
    for option in config.params:
        if isinstance(option, click.Option):
            member = str(option.name)
            for name in option.opts:
                if option.is_flag:
                    chosen = option.flag_value if isinstance(option.flag_value, str) else True
                    known[name] = (member, chosen)
                else:
                    choices = getattr(option.type, "choices", None)
                    known[name] = (member, tuple(choices) if choices else None)
    assert known == {**WITH_VALUE, **FLAGS}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "shop",
        "-c a.yml -f b.yml --compose-file=c.yml --file - --env-file e --env-file=f shop",
        "--profile a --profile=b --project-directory /x --strict",
        "--format json --services -q",
        "--volumes --format=yaml --networks",
        "--hash * -o out.json --no-interpolate",
        "--objects --quiet --output=",
        "--hash=",
    ],
)
def test_both_understand_the_same(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Shown] = []
    monkeypatch.setattr("stack.cli.config.show", seen.append)
    config.main(args=line.split(), standalone_mode=False)
    assert read_quickly(line.split()) == seen[0]


@pytest.mark.parametrize(
    "line",
    ["--help", "--nope", "-c", "--format xml", "--format", "one two", "--serv", "-qc a.yml", "-- x", "--quiet=1", "-c --strict"],
)  # fmt: skip
def test_what_is_not_understood_is_left_to_the_library(line: str) -> None:
    assert read_quickly(line.split()) is None


def test_nothing_is_asked_for_by_default() -> None:
    assert read_quickly([]) == Shown(ProjectChoice())


def test_it_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys; from stack.cli.main import run;"
        "assert run(['config', '-c', 'compose_examples/hello/docker-compose.yml']) == 0;"
        "slow = {'click', 'msgspec', 'pathlib', 'json', 'inspect', 'fractions', 'difflib'};"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
