from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.datadriven import Command, parse_command, run_file

FILE = """\
# Two commands share their output.
say hello
say world
----
hello
world

quiet
----
ok
"""


def handle(command: Command) -> str:
    return " ".join(command.args) if command.name == "say" else ""


def test_a_command_is_a_name_arguments_and_options() -> None:
    command = parse_command("propose 1 a keep=2 to=(1,3)")
    assert command == Command("propose", ("1", "a"), {"keep": "2", "to": "(1,3)"})
    assert command.option("keep", 0) == 2
    assert command.option_list("to") == [1, 3]
    assert command.option_list("absent") == []


def test_a_file_that_fits_passes_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(FILE)
    run_file(path, handle, rewrite=False)
    run_file(path, handle, rewrite=True)
    assert path.read_text() == FILE


def test_a_difference_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(FILE.replace("quiet", "say more"))
    with pytest.raises(AssertionError, match=r"x\.txt:8"):
        run_file(path, handle, rewrite=False)
    run_file(path, handle, rewrite=True)
    assert path.read_text().endswith("say more\n----\nmore\n")


def test_commands_without_dashes_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("say hello\n")
    with pytest.raises(ValueError, match="without a line"):
        run_file(path, handle, rewrite=False)
