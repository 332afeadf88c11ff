"""The files of a project as one tree, as they are written: nothing resolved, nothing judged.

A project that the loader refuses can still be looked at this way.
"""

from __future__ import annotations

from stack.compose.interpolation import interpolate_tree
from stack.compose.merge import merge_files
from stack.compose.short_forms import write_out
from stack.compose.source import Source
from stack.compose.tree import Mapping
from stack.compose.yaml_reader import read_yaml


def merged_tree(source: Source, stack: str) -> Mapping | None:
    """Merge a project's files, variables filled in and short forms written out.

    Returns:
        None when a file is no compose file at all.

    Raises:
        ComposeError: a file that cannot be read as YAML, or a short form that means nothing.
    """
    environment = {**source.environment, "COMPOSE_PROJECT_NAME": stack}
    trees = []
    for file in source.files:
        for document in read_yaml(file.content, file.name):
            tree = interpolate_tree(document, environment.get, lambda _name, _mark: None)
            if not isinstance(tree, Mapping):
                return None
            trees.append(write_out(tree))
    return merge_files(trees) if trees else None
