"""The printed schema and the structural check are one: a schema library says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack.compose import structure
from stack.compose.casts import cast
from stack.compose.interpolation import interpolate_tree
from stack.compose.json_schema import json_schema
from stack.compose.keys import ROOT
from stack.compose.structure import check_required, check_structure
from stack.compose.tree import DATE, RESET, Mapping, Node, Sequence, to_plain
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


def is_beyond_json(node: Node) -> bool:
    """Whether something in it has no form in JSON: a tag, or a date."""
    match node:
        case Mapping():
            return any(is_beyond_json(entry.value) for entry in node.entries.values())
        case Sequence():
            return any(is_beyond_json(item) for item in node.items)
        case _:
            return node.tag in (RESET, DATE)


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
    if not isinstance(tree, Mapping) or is_beyond_json(tree):
        return
    problem = next(iter(VALIDATOR.iter_errors(to_plain(tree))), None)
    try:
        check_structure(tree)
        check_required(tree)
        refusal = ""
    except ComposeError as error:
        refusal = str(error)
    assert bool(refusal) == (problem is not None), f"check: {refusal}; schema: {problem}"


SCHEMA = json_schema()
NAMES = st.sampled_from(["a", "b-1", "x-y", "A_.9", "no name", "", "ü", "image"])
TEXTS = st.sampled_from(["a", "", "10", "1.5", "true", "5m", "10s", "never", "every_12h", "all", "/x:/y", "host", "0x10", " "])  # fmt: skip
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-3, 70_000), st.sampled_from([0.5, 2.0]), TEXTS)  # fmt: skip
ANY = st.recursive(
    PLAIN,
    lambda one: st.lists(one, max_size=2) | st.dictionaries(NAMES, one, max_size=2),
    max_leaves=4,
)


def documents(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema allows, and now and then others, at every depth."""
    types = schema.get("type", [])
    kinds = [documents_of(kind, schema) for kind in ([types] if isinstance(types, str) else types)]
    kinds += [st.sampled_from(schema["enum"])] * 3 if "enum" in schema else []
    return st.one_of(*kinds, *kinds, *kinds, ANY)


def documents_of(kind: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    match kind:
        case "object":
            rows = {
                name: st.deferred(lambda row=row: documents(row))
                for name, row in schema.get("properties", {}).items()
            }
            needed = {name: rows[name] for name in schema.get("required", ()) if name in rows}
            fixed = st.sets(st.sampled_from(sorted(rows)), max_size=4) if rows else st.just(set())
            further = schema.get("additionalProperties", True)
            patterns = [*schema.get("patternProperties", {}).values()]
            free = [one for one in (further, *patterns) if isinstance(one, dict)]
            values = st.one_of(*(st.deferred(lambda one=one: documents(one)) for one in free), ANY)
            return st.tuples(
                st.fixed_dictionaries(needed) if needed else st.just({}),
                fixed.flatmap(lambda names: st.fixed_dictionaries({n: rows[n] for n in names})),
                st.dictionaries(NAMES, values, max_size=1),
            ).map(lambda parts: {**parts[2], **parts[0], **parts[1]})
        case "array":
            items = schema.get("items")
            return st.lists(documents(items) if isinstance(items, dict) else ANY, max_size=3)
        case "string":
            return TEXTS
        case "integer" | "number":
            return st.integers(-3, 70_000)
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


def verdict_of_table(tree: Mapping) -> str:
    try:
        check_structure(tree)
        check_required(tree)
    except ComposeError as error:
        return str(error)
    return ""


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(SCHEMA["properties"])), st.data())
def test_table_and_schema_agree_on_every_document(section: str, data: st.DataObject) -> None:
    value = data.draw(documents(SCHEMA["properties"][section]))
    (tree,) = read_yaml(json.dumps({section: value}), "a.yml")
    assert isinstance(tree, Mapping)
    refusal = verdict_of_table(tree)
    problem = next(iter(VALIDATOR.iter_errors(to_plain(tree))), None)
    assert bool(refusal) == (problem is not None), f"check: {refusal}; schema: {problem}"


SERVICE_ROWS: dict[str, Any] = SCHEMA["properties"]["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"]  # fmt: skip


@pytest.mark.parametrize("key", sorted(SERVICE_ROWS["properties"]))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_table_and_schema_agree_on_every_value_of_a_service(key: str, data: st.DataObject) -> None:
    value = data.draw(documents(SERVICE_ROWS["properties"][key]))
    (tree,) = read_yaml(json.dumps({"services": {"web": {"image": "i", key: value}}}), "a.yml")
    assert isinstance(tree, Mapping)
    refusal = verdict_of_table(tree)
    problem = next(iter(VALIDATOR.iter_errors(to_plain(tree))), None)
    assert bool(refusal) == (problem is not None), f"check: {refusal}; schema: {problem}"
