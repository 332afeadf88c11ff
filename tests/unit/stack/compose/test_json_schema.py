"""The printed schema and the structural check are one: a schema library says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stack.compose import structure
from stack.compose.casts import cast
from stack.compose.interpolation import interpolate_tree
from stack.compose.json_schema import json_schema
from stack.compose.keys import ROOT
from stack.compose.structure import check_required, check_structure
from stack.compose.tree import RESET, Mapping, Node, Sequence, to_plain
from stack.compose.yaml_reader import read_yaml
from stack.errors import ComposeError

PRINTED = Path(structure.__file__).parent / "schema" / "compose-spec.json"
CORPUS = Path(__file__).parents[3] / "compat" / "compose"
VALIDATOR: Any = jsonschema.Draft7Validator(json_schema())


def test_the_schema_is_the_printed_one(rewrite: bool) -> None:
    text = json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"
    if rewrite:
        PRINTED.write_text(text)
    assert PRINTED.read_text() == text, "run pytest with --rewrite"


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


def has_reset(node: Node) -> bool:
    match node:
        case Mapping():
            return any(has_reset(entry.value) for entry in node.entries.values())
        case Sequence():
            return any(has_reset(item) for item in node.items)
        case _:
            return node.tag == RESET


def first_tree(path: Path) -> Node | None:
    try:
        for document in read_yaml(path.read_bytes(), path.name):
            tree = interpolate_tree(document, {"E": "1", "EMPTY": ""}.get, lambda _n, _m: None)
            return cast(tree, ROOT)
    except ComposeError:
        return None
    return None


FILES = [str(path.relative_to(CORPUS)) for path in sorted(CORPUS.rglob("*.yml"))]


@pytest.mark.parametrize("name", FILES)
def test_the_check_agrees_with_a_schema_library(name: str) -> None:
    tree = first_tree(CORPUS / name)
    if not isinstance(tree, Mapping) or has_reset(tree):
        return
    problem = next(iter(VALIDATOR.iter_errors(to_plain(tree))), None)
    try:
        check_structure(tree)
        check_required(tree)
        refusal = ""
    except ComposeError as error:
        refusal = str(error)
    assert bool(refusal) == (problem is not None), f"check: {refusal}; schema: {problem}"
