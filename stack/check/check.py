"""Checks a project: the rules over its tree, and what the loader says of the same files."""

from __future__ import annotations

from collections.abc import Iterator

from stack.check.finding import Finding
from stack.check.project import Project
from stack.check.rules import NOT_APPLIED, NOT_LOADED, find, in_order, of_loader, placed
from stack.check.source_tree import merged_tree
from stack.compose.loader import load
from stack.compose.source import Source
from stack.compose.types import Compose
from stack.errors import ComposeError
from stack.translate.stack_spec import stack_spec


def check(source: Source, stack: str = "", nodes: int | None = None) -> list[Finding]:
    """Find what stands in the way of running a project on several nodes.

    Args:
        source: its files and variables.
        stack: the name it would get; "" for the file's or the folder's.
        nodes: how many nodes the cluster has, when that is known.

    Returns:
        Findings in the order of the files.
    """
    files = [file.name for file in source.files]
    findings: list[Finding] = []
    try:
        tree = merged_tree(source, stack)
    except ComposeError:
        tree = None  # the loader says the same
    if tree is not None:
        findings += find(Project(tree, source.folder, nodes))
    try:
        loaded = load(source, stack)
    except ComposeError as error:
        findings.append(of_loader(NOT_LOADED, str(error), files))
    else:
        findings += [of_loader(NOT_APPLIED, str(notice), files) for notice in loaded.notices]
        findings += _of_translation(loaded.compose)
    if tree is not None:
        findings = [placed(finding, tree) for finding in findings]
    return in_order(findings, files)


def _of_translation(compose: Compose) -> Iterator[Finding]:
    """What the model cannot become; translation knows no lines, only paths of keys."""
    try:
        wanted = stack_spec(compose)
    except ComposeError as error:
        yield of_loader(NOT_LOADED, str(error), ())
    else:
        yield from (of_loader(NOT_APPLIED, note, ()) for note in wanted.notes)
