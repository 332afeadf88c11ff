"""Checks a project: the rules over its tree, and what the loader says of the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stack.check.finding import Finding
from stack.check.project import Project, relative_mounts
from stack.check.rules import NOT_APPLIED, NOT_LOADED, find, in_order, of_loader, placed
from stack.check.source_tree import merged_tree
from stack.compose.loader import load
from stack.compose.resolve import Options, resolve
from stack.compose.source import Source
from stack.compose.tree import Mapping
from stack.compose.types import Compose
from stack.errors import ComposeError, UsageError
from stack.translate.stack_spec import stack_spec


def check(
    source: Source,
    stack: str = "",
    *,
    profiles: tuple[str, ...] = (),
    nodes: int | None = None,
) -> list[Finding]:
    """Find what stands in the way of running a project on several nodes.

    Args:
        source: its files and variables.
        stack: the name it would get; "" for the file's or the folder's.
        profiles: those to switch on.
        nodes: how many nodes the cluster has, when that is known.

    Returns:
        Findings in the order of the files.
    """
    files = [file.name for file in source.files]
    findings: list[Finding] = []
    written = _tree(lambda: merged_tree(source, stack))
    tree = _tree(lambda: resolve(source, Options(stack=stack, profiles=profiles)).root) or written
    if tree is not None:
        project = Project(
            tree,
            folders=(source.folder, source.home),
            relative=relative_mounts(written) if written is not None else (),
            nodes=nodes,
        )
        findings += find(project)
    try:
        loaded = load(source, stack, profiles)
    except ComposeError as error:
        findings.append(of_loader(NOT_LOADED, str(error), files))
    else:
        findings += [of_loader(NOT_APPLIED, str(notice), files) for notice in loaded.notices]
        findings += _of_translation(loaded.compose)
    if tree is not None:
        findings = [placed(finding, tree) for finding in findings]
    return in_order(findings, files)


def _tree(make: Callable[[], Mapping | None]) -> Mapping | None:
    """A tree, if the files can be brought so far; why not is for the loader to say."""
    try:
        return make()
    except UsageError:
        return None


def _of_translation(compose: Compose) -> Iterator[Finding]:
    """What the model cannot become; translation knows no lines, only paths of keys."""
    try:
        wanted = stack_spec(compose)
    except ComposeError as error:
        yield of_loader(NOT_LOADED, str(error), ())
    else:
        yield from (of_loader(NOT_APPLIED, note, ()) for note in wanted.notes)
