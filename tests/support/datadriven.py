"""Scenario files: commands, a line of dashes, and what they print.

    # A comment, up to the next blank line or command.
    command argument key=value list=(1,2)
    another command
    ----
    the output of both

Blocks end with a blank line. `pytest --rewrite` writes the present output into the files; the
difference is for review.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

DASHES = "----"


@dataclasses.dataclass(frozen=True)
class Command:
    """One line of a scenario: a name, plain arguments and `key=value` options."""

    name: str
    args: tuple[str, ...]
    options: dict[str, str]

    def integers(self) -> list[int]:
        return [int(arg) for arg in self.args]

    def option(self, key: str, default: int) -> int:
        return int(self.options.get(key, default))

    def option_list(self, key: str) -> list[int]:
        text = self.options.get(key, "").strip("()")
        return [int(part) for part in text.split(",") if part]


@dataclasses.dataclass
class Block:
    """Commands with their output, and the comment above them."""

    line: int
    comment: list[str]
    commands: list[str]
    expected: list[str]


def parse_command(text: str) -> Command:
    name, *words = text.split()
    args = tuple(word for word in words if "=" not in word)
    options = dict(word.split("=", 1) for word in words if "=" in word)
    return Command(name, args, options)


def parse(text: str, *, may_lack_output: bool = False) -> list[Block]:
    blocks: list[Block] = []
    block = Block(1, [], [], [])
    in_output = False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if not line.strip():
            if block.comment or block.commands:
                if block.commands and not in_output and not may_lack_output:
                    raise ValueError(f"line {number}: commands without a line {DASHES!r}")
                blocks.append(block)
            block, in_output = Block(number + 1, [], [], []), False
        elif in_output:
            block.expected.append(line)
        elif line == DASHES:
            in_output = True
        elif line.startswith("#"):
            block.comment.append(line)
        else:
            block.commands.append(line)
    return blocks


def output_of(block: Block, handle: Callable[[Command], str]) -> list[str]:
    """Run a block's commands; return what they print."""
    return [
        line.rstrip() or "."
        for text in block.commands
        for line in handle(parse_command(text)).splitlines()
    ] or ["ok"]


def run_file(path: Path, handle: Callable[[Command], str], *, rewrite: bool) -> None:
    """Run a scenario file against `handle`, which returns what a command prints.

    Raises:
        AssertionError: the output differs from the file's; it names the file and the line.
    """
    blocks = parse(path.read_text())
    for block in blocks:
        if not block.commands:
            continue
        output = output_of(block, handle)
        if rewrite:
            block.expected = output
        assert output == block.expected, (
            f"{path.name}:{block.line}: pytest --rewrite shows the difference"
        )
    if rewrite:
        path.write_text(
            "\n".join(
                "".join(f"{line}\n" for line in block.comment + block.commands)
                + (
                    "".join(f"{line}\n" for line in [DASHES, *block.expected])
                    if block.commands
                    else ""
                )
                for block in blocks
            )
        )
