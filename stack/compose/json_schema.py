"""The structure of compose files as a JSON Schema, made from the key table.

``schema/compose-spec.json`` is what this prints, for editors and other programs.  Loading does not
read it: `stack.compose.structure` checks the same table, and tests hold the two against each other
with a schema library.
"""

from __future__ import annotations

from typing import Any

from stack.compose.key import Form, Key, Unique, Value
from stack.compose.keys import ROOT
from stack.compose.structure import accepted_types, item_row, must_differ, value_row

Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema of a compose file, draft 7."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Compose file, as stack reads it",
        **_schema(ROOT),
    }


def _schema(key: Key) -> Schema:
    schema: Schema = {}
    types = accepted_types(key)
    if types:
        schema["type"] = types[0] if len(types) == 1 else list(types)
    if key.choices:
        schema["enum"] = list(key.choices)
    if key.form is Form.GPUS:
        schema["anyOf"] = [{"type": "array"}, {"enum": ["all"]}]
    for name, value in (
        ("pattern", key.pattern or None),
        ("minimum", key.lowest),
        ("maximum", key.highest),
    ):
        if value is not None:
            schema[name] = value
    _add_items(schema, key)
    _add_properties(schema, key)
    return schema


def _add_items(schema: Schema, key: Key) -> None:
    row = item_row(key)
    if row is not None:
        schema["items"] = _schema(row)
    if must_differ(key) and key.unique in (Unique.NOTHING, Unique.TEXT):
        schema["uniqueItems"] = True


def _add_properties(schema: Schema, key: Key) -> None:
    row = value_row(key)
    extra: Schema = {"^x-": {}} if key.extensible else {}
    if key.children is not None:
        schema["properties"] = {name: _schema(one) for name, one in sorted(key.children.items())}
        if extra:
            schema["patternProperties"] = extra
        schema["additionalProperties"] = False
        if key.required:
            schema["required"] = list(key.required)
    elif row is not None and key.each is not None and key.names:
        schema["patternProperties"] = {key.names: _schema(row)}
        schema["additionalProperties"] = False
    elif row is not None and key.value is not Value.ANY:
        schema["additionalProperties"] = _schema(row)
        if key.value is Value.TEXT_MAP:
            schema["propertyNames"] = {"minLength": 1}
